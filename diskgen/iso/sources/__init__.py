"""Where a medium's packages come from: directories, .deb files, repositories of apt and dnf."""
