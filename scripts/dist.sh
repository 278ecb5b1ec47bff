#!/bin/sh
# Makes what is distributed, for linux on amd64 and arm64, into dist, or the directory named by
# the argument:
#
#   roost-VERSION-linux-ARCH.tar.gz       programs, manual pages, completions, units, licenses
#   roost_VERSION_ARCH.deb, roost-VERSION-1.ARCH.rpm
#   roost-VERSION-linux-ARCH.cdx.json     the modules in roost (CycloneDX)
#   SHA256SUMS
#
# It packages the commit that is checked out, without changes that are not committed. The result
# depends on the commit and on the version of Go only, so that anybody can make the same files.
# MAINTAINER is named in the packages. For tests: ARCHS are the architectures, if not both,
# FORMATS the files for each, if not "sbom archive deb rpm", and SOURCE is a directory whose files
# are packaged as they are, instead of a clone.
set -eu
export LC_ALL=C TZ=UTC
umask 022
# Settings of a server are not for the program that writes the generated files.
for variable in $(env | sed -n 's/^\(ROOST_[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done
cd "$(dirname "$0")/.."
dist=${1:-dist}
archs=${ARCHS:-amd64 arm64}
formats=${FORMATS:-sbom archive deb rpm}
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
if [ -n "${SOURCE:-}" ]; then
	source=$(cd "$SOURCE" && pwd)
else
	[ -z "$(git status --porcelain)" ] || echo "dist.sh: what is not committed is not packaged" >&2
	source=$work/source
	git clone -q --no-local . "$source"
fi
rm -rf "$dist"
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)

makes() { case " $formats " in *" $1 "*) ;; *) return 1 ;; esac; } # FORMAT

mkdir "$work/bin"
if makes deb || makes rpm; then GOBIN="$work/bin" go install "$nfpm"; fi
if makes sbom; then GOBIN="$work/bin" go install "$cyclonedx"; fi
cd "$source"

build() { # ARCH PROGRAM FILE
	# An empty GOFLAGS would be replaced by the user's, from "go env -w".
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOFLAGS=-trimpath GOAMD64=v1 GOARM64=v8.0 GOWORK=off go build -buildvcs=true -o "$3" "./cmd/$2"
}

# This machine's own program writes the generated files. The number of its CPUs, which would be
# the default of a setting, is not that of the server.
build "$(go env GOHOSTARCH)" roost "$work/roost"
release=$(go version -m "$work/roost" | awk '$1 == "mod" { print $3 }')
# Go does not know the version in a work tree of git worktree.
[ "$release" != "(devel)" ] || release=v0.0.0-$(git log -1 --date=format-local:%Y%m%d%H%M%S --format=%cd)-$(git rev-parse --short=12 HEAD)
version=$(echo "${release#v}" | sed 's/-/~/; s/-/./g') # ~ is what comes before a release, in both formats
GOMAXPROCS=1 "$work/roost" config default >"$work/roost.toml"
"$work/roost" man "$work/man"
mkdir "$work/completions"
for shell in bash zsh fish; do
	"$work/roost" completion "$shell" >"$work/completions/roost.$shell"
done
scripts/licenses.sh ./cmd/roost >"$work/LICENSES"
if makes archive; then scripts/licenses.sh ./cmd/roost-bench >"$work/LICENSES.roost-bench"; fi

# A unit without the lines that say how to install it by hand.
unit() { sed -e '/^#   /d' -e '/^#$/d' -e 's,/usr/local/bin/,/usr/bin/,' "deploy/$1"; }

units="roost.service roost.socket roost-tls.socket roost-ws.socket roost-backup.service roost-backup.timer"

put() { # MODE FILE DESTINATION: into the tree of the package
	install -D -m "$1" "$2" "$root$3"
}

# The tree of both packages, in $root.
tree() { # ARCH
	put 755 "$work/$1/roost" /usr/bin/roost
	for u in $units; do
		unit "$u" >"$work/unit"
		put 644 "$work/unit" "/usr/lib/systemd/system/$u"
	done
	put 644 deploy/package/sysusers.conf /usr/lib/sysusers.d/roost.conf
	put 644 deploy/package/tmpfiles.conf /usr/lib/tmpfiles.d/roost.conf
	put 644 deploy/90-roost.conf /usr/share/roost/90-roost.conf
	for page in "$work"/man/*; do
		gzip -9nc "$page" >"$work/page"
		put 644 "$work/page" "/usr/share/man/man1/$(basename "$page").gz"
	done
	put 644 "$work/completions/roost.bash" /usr/share/bash-completion/completions/roost
	put 644 "$work/completions/roost.fish" /usr/share/fish/vendor_completions.d/roost.fish
	git ls-files README.md CHANGELOG.md SECURITY.md docs deploy | while read -r file; do
		case $file in
		*.md) # Only the repository has what some links lead to: their text stays.
			sed -E 's,\[([^]]*)\]\((\.\./)*(bench|cmd|internal|scripts|test|CONTRIBUTING\.md|LICENSE)([/#][^)]*)?\),\1,g' "$file" >"$work/page"
			put 644 "$work/page" "/usr/share/doc/roost/$file" ;;
		docs/*) put 644 "$file" "/usr/share/doc/roost/$file" ;;
		deploy/package/*) ;;
		deploy/acme-dns-nsupdate) put 755 "$file" "/usr/share/doc/roost/examples/${file#deploy/}" ;;
		*) put 644 "$file" "/usr/share/doc/roost/examples/${file#deploy/}" ;;
		esac
	done
}

# The packages' files as nfpm has them. Directories that other packages share are not listed.
contents() {
	echo "contents:"
	(cd "$root" && find . -type f | sort) | while read -r file; do
		file=${file#.}
		case $file in
		/etc/*) echo "  - {src: '$root$file', dst: '$file', type: config|noreplace, file_info: {mode: 0640, group: roost}}" ;;
		*) echo "  - {src: '$root$file', dst: '$file', file_info: {mode: 0$(stat -c %a "$root$file")}}" ;;
		esac
	done
	echo "  - {src: examples, dst: /usr/share/doc/roost/deploy, type: symlink}" # for the links in docs
	(cd "$root" && find . -type d -path '*/roost*' | sort) | while read -r dir; do
		echo "  - {dst: '${dir#.}', type: dir, file_info: {mode: 0755}}"
	done
}

script() { # NAME: a maintainer's script with the functions that it uses
	if [ -s "deploy/package/$1.sh" ]; then
		{ echo '#!/bin/sh'; cat deploy/package/users.sh "deploy/package/$1.sh"; } >"$work/$1"
	fi
}

archive() { # ARCH
	build "$1" roost-bench "$work/$1/roost-bench"
	root=$work/archive/roost-$version-linux-$1
	put 755 "$work/$1/roost" /roost
	put 755 "$work/$1/roost-bench" /roost-bench
	for file in README.md CHANGELOG.md LICENSE; do put 644 "$file" "/$file"; done
	put 644 "$work/LICENSES" /LICENSES
	put 644 "$work/LICENSES.roost-bench" /LICENSES.roost-bench
	put 644 "$work/roost.toml" /roost.toml
	for file in "$work"/man/*; do put 644 "$file" "/man/$(basename "$file")"; done
	for file in "$work"/completions/*; do put 644 "$file" "/completions/$(basename "$file")"; done
	for file in $units 90-roost.conf; do put 644 "deploy/$file" "/deploy/$file"; done
	put 755 deploy/acme-dns-nsupdate /deploy/acme-dns-nsupdate
	tar -C "$work/archive" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$(basename "$root")" |
		gzip -9n >"$dist/$(basename "$root").tar.gz"
}

description="XMPP server for very large numbers of mostly idle clients
  roost serves XMPP (Jabber) clients, such as phones and devices that are
  online all day and say little. An idle client costs it a few hundred bytes.

  It stores accounts, rosters and messages in SQLite or PostgreSQL, and
  several servers serve the same domains with Redis or Valkey."

for arch in $archs; do
	mkdir -p "$work/$arch"
	if [ "$arch" = "$(go env GOHOSTARCH)" ]; then ln "$work/roost" "$work/$arch/roost"; else build "$arch" roost "$work/$arch/roost"; fi
	if makes archive; then archive "$arch"; fi
	if makes sbom; then
		"$work/bin/cyclonedx-gomod" bin -json -noserial -notimestamp -std -licenses=false -output "$work/$arch/bom" "$work/$arch/roost"
		# The tool's own hashes depend on the machine that it was built on and for.
		sed '/"tools": \[/,/"component": {/{ /"hashes": \[/,/\],/d }' "$work/$arch/bom" >"$dist/roost-$version-linux-$arch.cdx.json"
	fi

	for format in deb rpm; do
		makes $format || continue
		root=$work/$format-$arch
		tree "$arch"
		case $format in
		deb)
			put 644 "$work/roost.toml" /usr/share/roost/roost.toml
			put 644 "$work/completions/roost.zsh" /usr/share/zsh/vendor-completions/_roost
			{
				printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: roost\n\nFiles: *\nCopyright: The roost authors\nLicense: Apache-2.0\n'
				printf ' On Debian systems, the text of the license is in\n /usr/share/common-licenses/Apache-2.0.\n\n'
				printf 'Files: usr/bin/roost\nCopyright: The authors of Go and of the modules in the program; see below\nLicense: others\n'
				sed -e 's/[[:space:]]*$//' -e 's/^$/./' -e 's/^/ /' "$work/LICENSES"
			} >"$work/copyright"
			put 644 "$work/copyright" /usr/share/doc/roost/copyright
			printf 'roost (%s) unstable; urgency=medium\n\n  * The changes are in CHANGELOG.md.\n\n -- %s  %s\n' \
				"$version" "${MAINTAINER:-The roost authors <roost@localhost>}" "$(date -Rd "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$work/changelog.gz"
			put 644 "$work/changelog.gz" /usr/share/doc/roost/changelog.gz
			hooks="postinstall: '$work/deb-postinst', preremove: '$work/deb-prerm', postremove: '$work/deb-postrm'"
			for s in postinst prerm postrm; do script "deb-$s"; done
			depends="[passwd]"
			file=roost_${version}_$arch.deb
			;;
		rpm)
			put 644 "$work/roost.toml" /etc/roost/roost.toml
			put 644 "$work/completions/roost.zsh" /usr/share/zsh/site-functions/_roost
			put 644 LICENSE /usr/share/licenses/roost/LICENSE
			put 644 "$work/LICENSES" /usr/share/licenses/roost/LICENSES
			hooks="preinstall: '$work/rpm-pre', postinstall: '$work/rpm-post', preremove: '$work/rpm-preun', postremove: '$work/rpm-postun'"
			for s in pre post preun postun; do script "rpm-$s"; done
			depends="[shadow-utils]"
			case $arch in amd64) rpmarch=x86_64 ;; arm64) rpmarch=aarch64 ;; esac
			file=roost-$version-1.$rpmarch.rpm
			;;
		esac
		{
			printf 'name: roost\narch: %s\nplatform: linux\nversion: "%s"\nversion_schema: none\nsection: net\npriority: optional\nlicense: Apache-2.0\n' "$arch" "$version"
			printf 'maintainer: "%s"\nvendor: ""\nmtime: "%s"\ndescription: |\n  %s\n' "${MAINTAINER:-The roost authors <roost@localhost>}" "$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" "$description"
			printf 'depends: %s\nrecommends: [ca-certificates]\nrpm: {buildhost: localhost, summary: "%s"}\nscripts: {%s}\n' "$depends" "$(echo "$description" | head -1)" "$hooks"
			contents
		} >"$work/nfpm-$format.yaml"
		"$work/bin/nfpm" package -f "$work/nfpm-$format.yaml" -p "$format" -t "$dist/$file" >/dev/null
	done
done
(cd "$dist" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
echo "dist.sh: $(find "$dist" -type f | wc -l) files of $release are in $dist"
