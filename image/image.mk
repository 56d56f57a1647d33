# image.mk - what an enclave boots: its image file, and the same root file system for those who build with nitro-cli.
#
# EIF_KERNEL, EIF_CMDLINE and EIF_MODULES (files, in the order of their insertion) say which kernel; without them it is
# Debian's, for the emulator. OVERLAY is a folder with more files for the root file system. image/README.md tells more.

OVERLAY ?=
# A text from elsewhere, which make would otherwise take for its own language.
ifneq ($(findstring $$,$(value EIF_CMDLINE)),)
$(error EIF_CMDLINE has a $$, which no kernel's command line needs)
endif
ENCLAVE ?= $(ENCLAVE_B)/attestd
IMAGE := $B/image
ifeq ($(EIF_KERNEL),)
EIF_CMDLINE ?= console=ttyS0 panic=-1 quiet attestd.heartbeat=2:9000
EIF_MODULES ?= $(addprefix $(IMAGE)/kernel/,vsock.ko.xz vmw_vsock_virtio_transport_common.ko.xz \
	vmw_vsock_virtio_transport.ko.xz nsm.ko.xz)
else ifeq ($(EIF_CMDLINE),)
$(error EIF_KERNEL needs EIF_CMDLINE beside it: the command line is measured)
endif
# Said before a minute of building.
$(foreach f,EIF_KERNEL OVERLAY,$(if $($f),$(if $(wildcard $($f)),,$(error $f: there is no $($f)))))
# The programs take it from the environment, where no shell looks into it.
export EIF_CMDLINE

# Not what a user's Python was told, nor what a locale makes of file names.
IMAGEPY = $(PYTHON) -E -s -B -X utf8

.PHONY: eif eif-all rootfs rootfs-all image-enclave
eif: build/deps.image ## build the enclave's image, build/attestd.eif, and print its PCR0, PCR1 and PCR2
	+@$(MAKE) --no-print-directory image-enclave
	+@$(MAKE) --no-print-directory eif-all
rootfs: build/deps.image ## build the enclave's root file system for nitro-cli build-enclave, in build/docker
	+@$(MAKE) --no-print-directory image-enclave
	+@$(MAKE) --no-print-directory rootfs-all

# An ENCLAVE of the caller's is taken as it is.
image-enclave:
ifeq ($(origin ENCLAVE),file)
	+@$(MAKE) --no-print-directory V=enclave B=$(ENCLAVE_B) $(ENCLAVE)
endif

$(IMAGE)/boot: image/boot.c image/pid1.c
$(IMAGE)/start: image/start.c image/programs.c image/supervise.c image/pid1.c
$(IMAGE)/boot $(IMAGE)/start: $(wildcard image/*.h) $B/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$Q$(CC) -D_GNU_SOURCE -std=c11 $(WARN) $(HARDEN) $(OPT_enclave) -static-pie $(filter-out -pie,$(LINKHARD)) \
		$(LDFLAGS_enclave) -o $@ $(filter %.c,$^)

# Made anew each time: what is in them comes from all over the machine, and it takes two seconds.
rootfs-all: $(IMAGE)/start
	@mkdir -p $B/docker
	$Q$(IMAGEPY) image/rootfs.py $(ENCLAVE) $(IMAGE)/start $(IMAGE)/rootfs.cpio.gz $B/docker/attestd-rootfs.tar \
		$(if $(OVERLAY),"$(OVERLAY)")
	$Qinstall -m 644 image/Dockerfile $B/docker/Dockerfile
	@sha256sum $B/docker/attestd-rootfs.tar

# Nothing has the image's name until both computations agree on it.
eif-all: $(IMAGE)/boot rootfs-all
	$Qrm -f $B/attestd.eif $B/attestd.eif.json
	@$(if $(EIF_KERNEL),,image/kernel $(CACHE)/kernel $(IMAGE)/kernel)
	$Q$(IMAGEPY) image/ramdisk.py $(IMAGE)/boot.cpio.gz $(IMAGE)/boot $(EIF_MODULES)
	$Q$(IMAGEPY) image/eif.py $(IMAGE)/attestd.eif $(VERSION) $(or $(EIF_KERNEL),$(IMAGE)/kernel/vmlinuz) \
		$(IMAGE)/boot.cpio.gz $(IMAGE)/rootfs.cpio.gz >$(IMAGE)/attestd.eif.json
	$Qimage/measure $(IMAGE)/attestd.eif | cmp - $(IMAGE)/attestd.eif.json || \
		{ echo "the two computations of the measurements differ" >&2; exit 1; }
	$Qmv $(IMAGE)/attestd.eif $(IMAGE)/attestd.eif.json $B
	@$(IMAGEPY) image/closure $(ENCLAVE)
	@sha384sum $B/attestd.eif
	@cat $B/attestd.eif.json

# Images are built in folders of their own, too, which compilers take a minute for: PYTEST='-m "not slow"' leaves that out.
.PHONY: check-image
check-image: build/deps.check build/deps.image ## build the enclave's image and test it
	+@$(MAKE) --no-print-directory image-enclave
	+@$(MAKE) --no-print-directory eif-all
	ATTESTD_BUILD=$B ATTESTD_ENCLAVE=$(ENCLAVE) ATTESTD_CACHE=$(CACHE) $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
		$(or $(IMAGETESTS),tests/image) $(PYTEST)
