"""Amazon EC2: an AMI of a disk, by EBS direct or by way of a bucket."""
