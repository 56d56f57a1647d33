# attestd. `make help` lists the targets; `make run` and `make check` are all that a newcomer needs.
#
# V is the variant (release, enclave, asan, tsan, valgrind, cover, fuzz) and B its build folder: each variant has a folder of its
# own, so that they never mix. `make V=asan build-asan/attestd` builds just that binary. CC=clang works everywhere.

V ?= release
B ?= $(if $(filter release,$(V)),build,build-$(V))
ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON ?= /usr/bin/python3
DEPS ?= scripts/deps
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
FUZZ_SECONDS ?= 60
# What is fetched once and kept for all clones: Debian packages and what is made of them.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/attestd
E2E ?= tests/e2e
VERSION := 0.1.0

# A line a file; VERBOSE=1 shows the commands.
Q := $(if $(VERBOSE),,@)
say = @$(if $(VERBOSE),:,printf '%-6s %s\n' $(1) $(2))

# ---- flags ----

WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wundef -Wformat=2 -Werror
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing
# clang up to 15 zeroes automatics only for those who know this name; later ones need no second flag.
ZERO := -ftrivial-auto-var-init=zero
ZERO += $(shell echo | $(CC) -Werror $(ZERO) -fsyntax-only -x c - 2>/dev/null || \
	echo -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
LINKHARD := -pie -Wl,-z,relro,-z,now,-z,noexecstack

# _FORTIFY_SOURCE hides the accesses that sanitizers look for, zeroed automatics the ones that valgrind looks for.
OPT_release := -O2 -g -D_FORTIFY_SOURCE=2 $(ZERO)
# The enclave's is the same whoever builds it, and where: so without debug information, and without an id made of it.
OPT_enclave := $(filter-out -g,$(OPT_release)) -ffile-prefix-map=$(CURDIR)=. -DATTESTD_ENCLAVE
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(ZERO)
OPT_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer $(ZERO)
OPT_valgrind := -O1 -g
OPT_cover := -O0 -g --coverage -fprofile-update=atomic $(ZERO)
OPT_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(ZERO)

LDFLAGS_enclave := -s -Wl,--build-id=none

# How binaries of a variant are run.
ENV_asan := ASAN_OPTIONS=detect_stack_use_after_return=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
ENV_tsan := TSAN_OPTIONS=exitcode=66:second_deadlock_stack=1
# ThreadSanitizer's shadow does not fit beside the kernel's widest address randomisation.
RUNNER_tsan := setarch $(shell uname -m) -R
RUNNER_valgrind := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes
RUNNER ?= $(RUNNER_$(V))

# Genuine documents to test with, where they are at hand; tests say when they are not.
ifneq ($(wildcard ../shared/attestation-vectors/genuine),)
export ATTESTATION_VECTORS ?= $(abspath ../shared/attestation-vectors)
endif

# The parser of the HTTP client goes into the binary, so that nothing is added to what the binary loads.
# The enclave has a libmicrohttpd of its own (image/enclave.mk).
MHD := $(if $(filter enclave,$(V)),$B/libmicrohttpd.a,-lmicrohttpd)
LIBS := $(MHD) -lssl -lcrypto -lcbor -lsqlite3 -l:libhttp_parser.a -lpthread
CPPFLAGS_ALL := -D_GNU_SOURCE -DATTESTD_VERSION='"$(VERSION)"' -Iinclude $(CPPFLAGS)
CFLAGS_ALL := -std=c11 $(WARN) $(HARDEN) $(OPT_$(V)) $(CFLAGS)
LDFLAGS_ALL := $(LINKHARD) $(LDFLAGS_$(V)) $(filter -fsanitize=% --coverage,$(OPT_$(V))) $(LDFLAGS)

# ---- files ----

# What serves only commands and back ends that an enclave's binary is without.
WITHOUT_enclave := src/cmd/client% src/cmd/nitro_cli.c src/cmd/proxy% src/cmd/root_out.c src/cmd/simulate% src/crypto/cert_make.c \
	src/net/proxy% src/nsm/dummy.c src/nsm/frame.c src/nsm/in_process.c src/nsm/simulator% src/nsm/socket.c src/vsock/client.c
SRC := $(filter-out $(WITHOUT_$(V)),$(sort $(wildcard src/*/*.c)))
OBJ := $(SRC:src/%.c=$B/obj/%.o) $B/obj/api/openapi_yaml.o
MAIN := $B/obj/main.o
UNIT := $(patsubst tests/unit/%.c,$B/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
UNITTOOLS := $(patsubst tests/unit/%.c,$B/unit/%,$(sort $(wildcard tests/unit/*_tool.c)))
FUZZ := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH := $(patsubst tests/bench/%.c,$B/bench/%,$(sort $(wildcard tests/bench/bench_*.c)))
BENCHTOOLS := $(patsubst tests/bench/%.c,$B/bench/%,$(filter-out tests/bench/bench_%,$(sort $(wildcard tests/bench/*.c))))
FORMATTED := $(wildcard src/*.c src/*/*.c src/*/*.h include/*.h include/base/*.h tests/unit/*.[ch] tests/fuzz/*.[ch] \
	tests/e2e/*.[ch] tests/bench/*.[ch] image/*.[ch] tests/image/*.c tests/qemu/*.c tests/qemu/probes/*.c)

# Other flags than last time: everything is built anew. Other files than last time: the library is.
$(shell mkdir -p $B)
define remember
ifneq ($$(strip $$(file <$B/$1)),$$(strip $2))
$$(file >$B/$1,$2)
endif
endef
$(eval $(call remember,flags,$$(CC) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) $$(LIBS)))
$(eval $(call remember,objects,$$(OBJ)))

.DELETE_ON_ERROR:
.PHONY: all
all: $B/attestd ## build build/attestd

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- building ----

$B/attestd: $(MAIN) $B/libattestd.a
	$(call say,LINK,$@)
	$Q$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$B/libattestd.a: $(OBJ) $B/objects
	$(call say,AR,$@)
	$Qrm -f $@ && $(AR) rcs $@ $(OBJ)

$B/obj/%.o: src/%.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# openapi.yaml is part of the binary: the object holds its exact bytes.
$B/obj/api/openapi_yaml.o: openapi.yaml $B/flags
	@mkdir -p $(@D)
	$(call say,EMBED,$<)
	$Qprintf '.section .rodata\n.global openapi_yaml, openapi_yaml_end\nopenapi_yaml: .incbin "openapi.yaml"\nopenapi_yaml_end: .byte 0\n.section .note.GNU-stack,"",%%progbits\n' | $(CC) -c -x assembler -o $@ -

$B/unit/%.o: tests/unit/%.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CPPFLAGS_ALL) -Isrc $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# It makes allocations fail.
$B/unit/test_json: LDFLAGS_ALL += -Wl,--wrap=malloc
$B/unit/test_json_tape: LDFLAGS_ALL += -Wl,--wrap=malloc,--wrap=free

$B/unit/%: $B/unit/%.o $B/libattestd.a
	$(call say,LINK,$@)
	$Q$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

# Preloaded into servers of every variant, so itself of none.
$B/e2e/%.so: tests/e2e/%.c $(wildcard tests/e2e/*.h) $B/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$Q$(CC) -D_GNU_SOURCE -std=c11 $(WARN) -O2 -g -fPIC -shared -o $@ $<

# The program without the one check that every relay fails by: a test shows that the attack is real, and so that it bites.
$B/e2e/attestd-gullible: src/session/user_key_check.c $(MAIN) $B/libattestd.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$Q$(CC) $(CPPFLAGS_ALL) -DATTESTD_TEST_SKIP_USER_KEY_CHECK $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$B/fuzz/%.o: tests/fuzz/%.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CPPFLAGS_ALL) -Isrc $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# jansson judges the same texts there; both have a json_string, and each is to call its own.
$B/fuzz/fuzz_json: LIBS += -ljansson
$B/fuzz/fuzz_json: LDFLAGS_ALL += -Wl,--exclude-libs,libattestd.a

$B/fuzz/%: $B/fuzz/%.o $B/libattestd.a
	$(call say,LINK,$@)
	$Q$(CC) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$B/bench/%.o: tests/bench/%.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CPPFLAGS_ALL) -Isrc $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$B/bench/%: $B/bench/%.o $B/libattestd.a
	$(call say,LINK,$@)
	$Q$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

.SECONDARY: $(BENCH:=.o) $(BENCHTOOLS:=.o) $(UNIT:=.o) $(UNITTOOLS:=.o) $(FUZZ:=.o)

# With another DEPS nothing was looked at, so nothing is noted down.
build/deps.%: scripts/deps
	@$(DEPS) $*
	@mkdir -p $(@D)
	@$(if $(filter scripts/deps,$(DEPS)),touch $@)

# ---- using ----

# These hand over to other makes, several of them in one folder, or install packages: so they run one after the other,
# also under -j. The makes that they start compile in parallel. (`make -j all check` compiles `all` file by file.)
ifneq ($(filter run demo check bench bench-quick soak count lint enclave eif rootfs check-image check-guest deb asan tsan valgrind clang fuzz fuzz-smoke cover format install clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

# What was just installed may change the flags above: hence a second make.
.PHONY: run
run: build/deps.run ## install what is missing, build, serve on 127.0.0.1:8765
	@+$(MAKE) --no-print-directory all
	@exec scripts/run $B/attestd

.PHONY: demo
demo: build/deps.check ## show a private conversation through a relay that attacks it in every way it can
	@+$(MAKE) --no-print-directory all
	@ATTESTD_BUILD=$B ATTESTD_RUNNER="$(RUNNER)" $(ENV_$(V)) $(PYTHON) tests/demo/demo.py

# The enclave's binary takes Debian's sources: with another DEPS its tests are skipped unless it is there.
.PHONY: check
check: build/deps.check $(if $(filter scripts/deps,$(DEPS)),enclave) ## install what is missing, build, run all tests
	+$(MAKE) --no-print-directory unit
	+$(MAKE) --no-print-directory e2e

.PHONY: unit
unit: $(UNIT) $(UNITTOOLS) ## run the unit tests (cmocka)
	@$(ENV_$(V)) tests/unit/run "$(RUNNER)" $(UNIT)

# make e2e E2E=tests/e2e/test_run.py PYTEST="-k paste -x"; E2E_JOBS=0 runs one after the other, as a debugger needs it.
# Tests mostly wait, so there are more of them at once than processors; those of one file stay together.
E2E_JOBS ?= $(shell echo $$(($$(nproc) * 2)))
.PHONY: e2e
e2e: $B/attestd $(UNITTOOLS) $(BENCH) $(BENCHTOOLS) $B/e2e/nsm_shim.so $B/e2e/attestd-gullible ## run the end-to-end tests (pytest)
	ATTESTD_BUILD=$B ATTESTD_RUNNER="$(RUNNER)" $(ENV_$(V)) $(PYTHON) -m pytest -q -rs -n $(E2E_JOBS) --dist loadfile $(E2E) $(PYTEST)

.PHONY: lint
lint: build/deps.lint ## check layers, banned calls, routes, codes, style
	+@$(MAKE) --no-print-directory -s all
	$(call say,LINT,tests/lint)
	$Q$(PYTHON) tests/lint/run.py --objects $B/obj
	$(call say,LINT,clang-format)
	$Qclang-format --dry-run -Werror $(FORMATTED)
	$(call say,LINT,cppcheck)
	$Qcppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=missingInclude \
		--suppress=comparePointers:src/api/openapi.c -j2 -D_GNU_SOURCE -DATTESTD_VERSION='""' -Iinclude src image
	$(call say,LINT,mandoc)
	$Q$B/attestd man | mandoc -Tlint -Wstyle
	$(call say,LINT,shellcheck)
	$Qshellcheck scripts/* .ci/run tests/unit/run image/kernel image/measure debian/prerm debian/postrm tests/qemu/fetch

# ---- more tests ----

.PHONY: asan
asan: build/deps.check ## all tests under AddressSanitizer and UBSan
	+$(MAKE) --no-print-directory V=asan unit
	+$(MAKE) --no-print-directory V=asan e2e PYTEST='--ignore=tests/e2e/test_lint.py $(PYTEST)'

.PHONY: tsan
tsan: build/deps.check ## all tests but the slow ones under ThreadSanitizer
	+$(MAKE) --no-print-directory V=tsan unit
	+$(MAKE) --no-print-directory V=tsan e2e PYTEST='--ignore=tests/e2e/test_lint.py -m "not slow" $(PYTEST)'

.PHONY: valgrind
valgrind: build/deps.valgrind ## unit tests and the smoke tests under valgrind
	+$(MAKE) --no-print-directory V=valgrind unit
	+$(MAKE) --no-print-directory V=valgrind e2e PYTEST='--ignore=tests/e2e/test_lint.py -m smoke $(PYTEST)'

.PHONY: clang
clang: build/deps.clang ## build with clang in build-clang, with the image's programs, and run the unit tests
	+$(MAKE) --no-print-directory CC=clang B=build-clang all build-clang/image/boot build-clang/image/start unit

# What these measure is told in docs/PERFORMANCE.md; with RECORD=1 they put their tables into it.
RECORD ?=
MINUTES ?= 60
BENCHRECORD := $(if $(RECORD),--record docs/PERFORMANCE.md)
.PHONY: bench bench-quick bench-all soak soak-run count count-run
bench: build/deps.bench ## measure: attestd beside bare libmicrohttpd, its limits, the proxy beside socat, TLS beside GnuTLS
	+@$(MAKE) --no-print-directory bench-all
bench-quick: build/deps.bench ## the same in two minutes: the rows of the speed contract only
	+@$(MAKE) --no-print-directory bench-all BENCHFLAGS=--quick
bench-all: $(BENCH) $(BENCHTOOLS) $B/attestd
	@$(PYTHON) tests/bench/speed.py --build $B $(BENCHFLAGS) $(BENCHRECORD)
	@$(if $(filter --quick,$(BENCHFLAGS)),,$(PYTHON) tests/bench/proxy.py $B/attestd)
	@$(if $(filter --quick,$(BENCHFLAGS)),,$(PYTHON) tests/bench/tls.py $B/attestd $B/bench/mhd_tls)
soak: build/deps.bench ## MINUTES (60) of mixed load: is what is flat flat? Writes build/soak/soak.csv and soak.svg
	+@$(MAKE) --no-print-directory soak-run
soak-run: $B/attestd
	@$(PYTHON) tests/bench/soak.py --build $B --minutes $(MINUTES)
count: build/deps.bench ## count the instructions a request takes (callgrind): the same however busy the machine is
	+@$(MAKE) --no-print-directory count-run
count-run: $(BENCHTOOLS) $B/attestd
	@$(PYTHON) tests/bench/count.py --build $B $(BENCHRECORD)

.PHONY: fuzz fuzz-smoke fuzz-all
fuzz: build/deps.clang ## run each fuzz target for FUZZ_SECONDS (60)
	+$(MAKE) --no-print-directory V=fuzz CC=clang FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-all
fuzz-smoke: ## the corpus and 10 seconds of each fuzz target
	+$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=10
fuzz-all: $(FUZZ:$B/fuzz/%=fuzz-run-%)

# New inputs stay in the build folder; those worth keeping are copied to tests/fuzz/corpus by hand.
fuzz-run-%: $B/fuzz/%
	@mkdir -p $B/found/$* $B/crashes tests/fuzz/corpus/$(*:fuzz_%=%)
	@echo "== $*: $(FUZZ_SECONDS) s"; $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=$B/crashes/$*- $B/found/$* tests/fuzz/corpus/$(*:fuzz_%=%) \
		>$B/fuzz/$*.log 2>&1 || { cat $B/fuzz/$*.log; exit 1; }; \
		sed -n 's/^stat::number_of_executed_units: */== $*: runs /p' $B/fuzz/$*.log

.PHONY: cover
cover: build/deps.cover ## line coverage of all tests, with the uncovered lines in build-cover/cover.txt
	find build-cover -name '*.gcda' -delete 2>/dev/null || true
	+$(MAKE) --no-print-directory V=cover unit
	+$(MAKE) --no-print-directory V=cover e2e PYTEST='--ignore=tests/e2e/test_lint.py $(PYTEST)'
	gcovr --root . --filter src/ build-cover/obj --print-summary -o build-cover/cover.txt
	@sed -n '/^File/,$$p' build-cover/cover.txt | cut -c1-72

# ---- the enclave's image, the package, the guest ----

include image/enclave.mk image/image.mk tests/qemu/guest.mk

# ---- the rest ----

.PHONY: format
format: build/deps.lint ## format all C files
	$Qclang-format -i $(FORMATTED)

# Where units go: Debian's packages have /lib/systemd/system in place of this.
UNITDIR ?= $(PREFIX)/lib/systemd/system
.PHONY: install install-files install-man
install: build/deps.build ## install below DESTDIR, PREFIX and SYSCONFDIR: binary, man page, units, example configuration
	+@$(MAKE) --no-print-directory all
	+@$(MAKE) --no-print-directory install-files install-man
	install -D -m 755 $B/attestd $(DESTDIR)$(PREFIX)/bin/attestd

# The program prints its own man page, which takes a machine that can run it.
install-man:
	@if $B/attestd --version >/dev/null 2>&1; then \
		$B/attestd man >$B/attestd.1 && install -v -D -m 644 $B/attestd.1 $(DESTDIR)$(PREFIX)/share/man/man1/attestd.1; \
	else \
		echo "$B/attestd does not run on this machine: the man page is left out (attestd man prints it)"; \
	fi

# What needs no building. The units name where the binary and its configuration were installed.
install-files:
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/attestd
	set -e; for u in attestd.service attestd.socket attestd-proxy.service attestd-proxy.socket; do \
		sed 's,/usr/bin/attestd,$(PREFIX)/bin/attestd,; s,--config /etc/,--config $(SYSCONFDIR)/,; s,^EnvironmentFile=-/etc/,EnvironmentFile=-$(SYSCONFDIR)/,' \
			systemd/$$u \
			>$(DESTDIR)$(UNITDIR)/$$u; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$u; done
	install -D -m 644 systemd/attestd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/attestd.conf
	set -e; for c in attestd.conf proxy.env; do \
		test -e $(DESTDIR)$(SYSCONFDIR)/attestd/$$c || \
		install -m 644 configs/$$c $(DESTDIR)$(SYSCONFDIR)/attestd/$$c; done

# Made from a copy of what it takes, in an environment of its own, so that the same tree gives the same bytes anywhere.
DEBCOPY := $B/deb/attestd-$(VERSION)
.PHONY: deb deb-build deb-lint
deb: build/deps.deb ## build the Debian package, build/deb/attestd_VERSION_ARCHITECTURE.deb, and have lintian judge it
	+@$(MAKE) --no-print-directory deb-build
	+@$(MAKE) --no-print-directory deb-lint
deb-build:
	@v=$$(dpkg-parsechangelog -S Version) && [ "$$v" = $(VERSION) ] || \
		{ echo "debian/changelog is about $$v, and the Makefile's VERSION is $(VERSION): make them the same" >&2; exit 1; }
	$(call say,DEB,$B/deb)
	$Qrm -rf $B/deb && mkdir -p $(DEBCOPY)
	$Qcp -R --parents Makefile README.md CHANGELOG.md openapi.yaml configs debian docs image/*.mk include scripts/deps src systemd \
		tests/qemu/*.mk $(DEBCOPY)
	$Qcd $(DEBCOPY) && umask 022 && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LC_ALL=C.UTF-8 \
		dpkg-buildpackage -b -us -uc -jauto >../build.log 2>&1 || { tail -n 20 ../build.log >&2; exit 1; }
	$Qrm -rf $(DEBCOPY)
	@sha256sum $B/deb/*.deb
deb-lint:
	$(call say,LINT,$B/deb)
	$Qlintian --allow-root --fail-on error,warning --info $B/deb/*.changes

.PHONY: clean
clean: ## remove all build folders
	rm -rf build build-*

-include $(OBJ:.o=.d) $(MAIN:.o=.d) $(BENCH:=.d) $(BENCHTOOLS:=.d) $(UNIT:=.d) $(UNITTOOLS:=.d) $(FUZZ:=.d)
