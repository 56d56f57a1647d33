# enclave.mk - the binary for the enclave's image: without what only developers and hosts need.
