# enclave.mk - the binary for the enclave's image: without what only developers and hosts need.

# Where it is built: beside B, so that B=ELSEWHERE takes it along.
ENCLAVE_B := $(if $(filter enclave,$(V)),$B,$B-enclave)

.PHONY: enclave enclave-all
enclave: build/deps.image ## build build-enclave/attestd, the binary for the image, and check what it loads
	+@$(MAKE) --no-print-directory V=enclave B=$(ENCLAVE_B) enclave-all
enclave-all: $B/attestd
	@$(PYTHON) image/closure $<

ifeq ($(V),enclave)

# Debian's libmicrohttpd loads GnuTLS and all that it needs. TLS here is OpenSSL's, so the enclave has the same source, of
# the very version that is installed, without HTTPS and the rest that src/http does not use.
MHDSOURCE := $B/libmicrohttpd
MHDDEBS := $(CACHE)/libmicrohttpd-source
MHDWITHOUT := https shared dependency-tracking doc examples curl nls postprocessor bauth dauth httpupgrade sendfile
# It is built where its source lies, so that the paths in it are relative; only what the compiler is told differs.
MHDFLAGS := $(filter-out -DATTESTD_ENCLAVE,$(HARDEN) $(OPT_enclave))

MHDVERSION := $(shell dpkg-query -W -f '$${source:Version}' libmicrohttpd-dev)
$(eval $(call remember,libmicrohttpd.version,$$(MHDVERSION)))

CPPFLAGS_ALL += -isystem $(MHDSOURCE)/src/include
$(OBJ) $(MAIN): | $(MHDSOURCE)/src/include/microhttpd.h

$(MHDSOURCE)/src/include/microhttpd.h: image/enclave.mk $(MHDSOURCE).version
	$(call say,UNPACK,$(MHDSOURCE))
	$Qrm -rf $(MHDSOURCE)
	$Qscripts/debs --source $(MHDDEBS) bookworm libmicrohttpd=$(MHDVERSION)
	$Qdpkg-source --no-copy --extract $(MHDDEBS)/libmicrohttpd_*.dsc $(MHDSOURCE) >$(MHDSOURCE).log 2>&1 || \
		{ cat $(MHDSOURCE).log >&2; exit 1; }
	$Qtouch $@

$B/libmicrohttpd.a: $(MHDSOURCE)/src/include/microhttpd.h $B/flags
	$(call say,BUILD,$@)
	$Q{ cd $(MHDSOURCE) && env -u CONFIG_SITE ./configure --quiet --enable-static --enable-epoll $(MHDWITHOUT:%=--disable-%) \
		CC='$(CC)' CFLAGS='$(MHDFLAGS)' && $(MAKE) -C src/microhttpd libmicrohttpd.la; } >$(MHDSOURCE).log 2>&1 || \
		{ tail -n 30 $(MHDSOURCE).log >&2; exit 1; }
	$Qrm -f $@ && LC_ALL=C $(AR) rcsD $@ $(MHDSOURCE)/src/microhttpd/libmicrohttpd_la-*.o

$B/attestd: $B/libmicrohttpd.a

endif
