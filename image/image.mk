# image.mk - what an enclave boots: its image file, and the same root file system for those who build with nitro-cli.
