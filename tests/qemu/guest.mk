# guest.mk - the tests on a guest with Linux's own /dev/nsm, vsock and systemd.
