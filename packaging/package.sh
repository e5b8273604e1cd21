#!/usr/bin/env bash
# Makes the deb and rpm packages of both daemons from target/release into target/package.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
out=target/package
arch_deb=$(dpkg --print-architecture)
arch_rpm=$(uname -m)
rm -rf "$out"
mkdir -p "$out"

description() { # description DAEMON
    case $1 in
        sender) echo "ships Apache IoTDB time series through a one-way security gateway" ;;
        receiver) echo "takes Apache IoTDB time series from a one-way security gateway" ;;
    esac
}

tree() { # tree DAEMON: the installed files, below $out/tree-DAEMON
    local daemon=$1 root=$out/tree-$1
    install -D -m 755 "target/release/tidegate-$daemon" "$root/usr/bin/tidegate-$daemon"
    strip --strip-unneeded "$root/usr/bin/tidegate-$daemon"
    # It may hold a password.
    install -D -m 640 "conf/$daemon.properties" "$root/etc/tidegate/$daemon.properties"
    install -D -m 644 "packaging/systemd/tidegate-$daemon.service" \
        "$root/lib/systemd/system/tidegate-$daemon.service"
    local pages=("docs/man/tidegate-$daemon.1" "docs/man/$daemon.properties.5")
    if [ "$daemon" = sender ]; then
        pages+=(docs/man/tidegate-pipe.5)
    fi
    for page in "${pages[@]}"; do
        install -d "$root/usr/share/man/man${page##*.}"
        gzip -9n < "$page" > "$root/usr/share/man/man${page##*.}/$(basename "$page").gz"
    done
    local doc=$root/usr/share/doc/tidegate-$daemon
    install -D -m 644 LICENSE "$doc/copyright"
    install -m 644 NOTICE README.md "$doc/"
    gzip -9n < CHANGELOG.md > "$doc/changelog.gz"
}

scripts() { # scripts: what both package systems run after unpacking
    cat <<'SCRIPT'
if ! getent passwd tidegate >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/tidegate --no-create-home \
        --shell /usr/sbin/nologin tidegate
fi
chgrp -R tidegate /etc/tidegate
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
SCRIPT
}

deb() { # deb DAEMON
    local daemon=$1 root=$out/deb-$1
    cp -a "$out/tree-$daemon" "$root"
    mkdir "$root/DEBIAN"
    cat > "$root/DEBIAN/control" <<CONTROL
Package: tidegate-$daemon
Version: $version
Architecture: $arch_deb
Maintainer: The Tidegate authors <maintainers@tidegate.invalid>
Depends: libc6 (>= 2.34), passwd
Section: net
Priority: optional
Description: $(description "$daemon")
 One byte comes back through the gateway: taken or refused. Whatever was
 acknowledged is durable on the other side.
CONTROL
    echo "/etc/tidegate/$daemon.properties" > "$root/DEBIAN/conffiles"
    { echo '#!/bin/sh'; echo 'set -e'; scripts; } > "$root/DEBIAN/postinst"
    cat > "$root/DEBIAN/prerm" <<PRERM
#!/bin/sh
set -e
if [ "\$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now tidegate-$daemon || true
fi
PRERM
    chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
    dpkg-deb --root-owner-group --build "$root" "$out/tidegate-${daemon}_${version}_${arch_deb}.deb"
}

rpm_() { # rpm_ DAEMON
    local daemon=$1 top=$PWD/$out/rpm-$1
    mkdir -p "$top/SPECS"
    cat > "$top/SPECS/tidegate-$daemon.spec" <<SPEC
Name: tidegate-$daemon
Version: $version
Release: 1
Summary: $(description "$daemon")
License: Apache-2.0
Requires(post): shadow-utils
%global __strip /bin/true
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%description
One byte comes back through the gateway: taken or refused. Whatever was
acknowledged is durable on the other side.
%install
cp -a $PWD/$out/tree-$daemon/. %{buildroot}/
%post
$(scripts)
%preun
if [ \$1 -eq 0 ] && [ -d /run/systemd/system ]; then systemctl disable --now tidegate-$daemon || true; fi
%files
%config(noreplace) %attr(0640, root, root) /etc/tidegate/$daemon.properties
/lib/systemd/system/tidegate-$daemon.service
/usr/bin/tidegate-$daemon
/usr/share/man/man1/*
/usr/share/man/man5/*
/usr/share/doc/tidegate-$daemon
SPEC
    rpmbuild -bb --quiet --target "$arch_rpm" --define "_topdir $top" "$top/SPECS/tidegate-$daemon.spec"
    mv "$top"/RPMS/*/*.rpm "$out/"
}

for daemon in sender receiver; do
    tree "$daemon"
    deb "$daemon"
    rpm_ "$daemon"
    rm -rf "$out/deb-$daemon" "$out/rpm-$daemon"
done
rm -rf "$out"/tree-*
ls -l "$out"
