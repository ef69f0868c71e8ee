"""What mkcomposefs 1.0.8 made of trees: digests of its images. Tests only."""

from __future__ import annotations

# Seed of a tree: digest of its image by mkcomposefs; vm-tests/ asks the real tool again.
SEEDS = {
    0: "84ea79d70ef62d43af37be6c889fd49cf73169fafab4a1afecafdf819306f7df",
    1: "28d718585b265f00e655239cacebaa4e9ffaafc22d7b08f85129126e2dcda933",
    3: "fba688f2ce3f0f69d232782f1231cc02fc1b4b2a0daa0956824cface984e68bb",
    9: "f476488fd87efe6bc7cb0bfe775664725647679ec4cddc4b14f9dc52f07b5cb6",
    13: "610b7aa296ad50eb0059c50b634e6fea80308d5362bdf8722f52652aa1742d40",
    17: "b072c6c9acbb0eb94eed7d5f4fe83b3398cd89058b3a53ca1637ac079c9210a0",
    34: "c7918c8f1d50f8013684a9eef8b40b12547c965529f899fcbbd26aa5f4e08467",
    38: "a95682e17f21e56e0828542d15c12d411c0f46d9d8ea562e2ec0ac29555fe558",
    40: "c9f338c79b0e947c271e2d6b9f2ed6878e42eca9c12e7f30a1755166d26913bf",
}
# The same with digests for fs-verity in it.
SEALED = {
    0: "dc69f24715da70becd1470f0d767cb5147876074716e816ecd36547a9811e8bc",
    1: "b7f969b88a1338b956dd062853fb31088615c31056beeeb0aaf675c00eef5958",
    3: "b0aac92a821da48735520038de1d2c441c9d4e6b1730b3f176e16cbdd72a6f94",
    9: "f847eda93b8b2555e68c358bd99d962c77404291d217e2f73d7a72345188561c",
    13: "6a8c0738cd1333544cf58cdf6f76f1a730bacc76fb8dec28f728b48ee2deef3f",
}
