# guest.mk - the tests on a guest with Linux's own /dev/nsm, vsock and systemd.

PROBES := $(patsubst tests/qemu/probes/%.c,$B/qemu/probes/%,$(sort $(wildcard tests/qemu/probes/*.c)))
GUESTDEB := $B/deb/attestd_$(VERSION)_amd64.deb

# Guests at once, each with the tests of some files; 0: one, and a debugger sees it.
GUEST_JOBS ?= 2

# make check-guest GUEST=tests/qemu/test_machine.py PYTEST="-k dials -x"
.PHONY: check-guest check-guest-all guest-fetch
ifeq ($(shell uname -m),x86_64)
check-guest: build/deps.guest ## boot a guest with Linux's /dev/nsm, vsock and systemd, and test the package and the image in it
	+@$(MAKE) --no-print-directory guest-fetch
	+@$(MAKE) --no-print-directory image-enclave
	+@$(MAKE) --no-print-directory check-guest-all
else
check-guest:
	@echo "SKIPPED tests/qemu: the guest is an x86-64 machine, and so are its packages"
endif
check-guest-all: $B/attestd $(GUESTDEB) $(PROBES) $B/qemu/control $B/qemu/initrd
	+@$(MAKE) --no-print-directory eif-all >$B/qemu/eif.log 2>&1 || { cat $B/qemu/eif.log; exit 1; }
	ATTESTD_BUILD=$B ATTESTD_CACHE="$(CACHE)" timeout --foreground -k 20 900 $(PYTHON) -B -m pytest -v -rs \
		-p no:cacheprovider -n $(GUEST_JOBS) --dist loadfile $(or $(GUEST),tests/qemu) $(PYTEST)

guest-fetch:
	@tests/qemu/fetch "$(CACHE)"

# `make deb` makes it anew each time, which takes a minute.
$(GUESTDEB): Makefile README.md CHANGELOG.md openapi.yaml $(wildcard image/*.mk) \
		$(shell find configs debian docs include src systemd scripts/deps -type f)
	+@$(MAKE) --no-print-directory deb

# A folder's name may hold some.
blank := $() $()

# Into the guest as they are: linked statically, because they also run where there is nothing else.
link_static = mkdir -p $(@D) && $(CC) -D_GNU_SOURCE -std=c11 $(WARN) -Os -static -o $@ $<
$B/qemu/init: tests/qemu/init.c $B/flags
	$(call say,LINK,$@)
	$Q$(link_static)
$B/qemu/control: tests/qemu/control.c $B/flags
	$(call say,LINK,$@)
	$Q$(link_static)
$B/qemu/probes/%: tests/qemu/probes/%.c $B/flags
	$(call say,LINK,$@)
	$Q$(link_static)

$B/qemu/initrd: tests/qemu/initrd.py image/ramdisk.py $B/qemu/init $(subst $(blank),\ ,$(CACHE))/kernel/SHA256SUMS
	$(call say,WRITE,$@)
	$Q$(PYTHON) -B $< $@ $B/qemu/init "$(CACHE)/kernel.tree"
