# The lower layer of an engine image: a few programs of this Debian with their libraries, and a JRE with a CDS archive.
# shellcheck shell=bash

USERLAND="bash sh env cat ls mkdir rmdir rm cp mv ln chmod chown touch sed grep mawk head tail wc sort uniq find xargs ps kill
  id uname hostname sleep date cut tr tee stat test true false seq nproc which dirname basename readlink realpath sha256sum md5sum du df timeout getent"
JRE_MODULES=java.se,jdk.unsupported,jdk.crypto.ec,jdk.crypto.cryptoki,jdk.management,jdk.management.agent,jdk.zipfs,jdk.net,jdk.security.auth,jdk.security.jgss,jdk.jcmd,jdk.httpserver,jdk.naming.dns,jdk.charsets,jdk.jfr

jdk_home() { local javac; javac=$(readlink -f "$(command -v javac)"); printf '%s' "${javac%/bin/javac}"; }

# Changes with this file, the JDK and the packages that the programs come from.
userland_key() {
  { cat "$STACK_DIR/lib/userland.sh"; cat "$(jdk_home)/release"
    dpkg-query -W -f '${Package} ${Version}\n' libc6 bash coreutils sed grep mawk findutils procps util-linux ca-certificates 2>/dev/null || true
  } | digest | short
}
userland_dir() { printf '%s/root' "$(cache_path build userland "$(userland_key)")"; }
build_userland() { cached build userland "$(userland_key)" userland_make; }

userland_make() {
  local root=$1/root jdk program path link target
  jdk=$(jdk_home)
  mkdir -p "$root"/{bin,usr/bin,usr/lib,etc/ssl/certs,tmp,proc,sys,dev,var/tmp,root,opt,lib,lib64}
  chmod 1777 "$root/tmp" "$root/var/tmp"
  for program in $USERLAND; do
    path=$(type -P "$program") || { say "no $program here, left out"; continue; }
    cp -L "$path" "$root/usr/bin/$program"
    ln -s "../usr/bin/$program" "$root/bin/$program"
    userland_libraries "$root" "$path"
  done
  ln -s ../usr/bin/mawk "$root/bin/awk"
  "$jdk/bin/jlink" --module-path "$jdk/jmods" --add-modules "$JRE_MODULES" --strip-debug --no-man-pages --no-header-files \
    --compress=0 --vm=server --output "$root/opt/java"
  find "$root/opt/java" -name '*.so' | while read -r path; do userland_libraries "$root" "$path"; done
  userland_libraries "$root" "$root/opt/java/bin/java"
  userland_native "$root"
  # Debian's JDK links its security policy and certificates to /etc.
  find "$root/opt/java" -type l | while read -r link; do
    target=$(readlink -f "$link")
    case $target in
      "$root"/*) ;;
      *) rm "$link"; cp -rL "$target" "$link" ;;
    esac
  done
  "$root/opt/java/bin/java" -XX:+UseSerialGC -Xshare:dump >/dev/null
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
  printf 'root:x:0:0:root:/root:/bin/bash\nflink:x:9999:9999:flink:/opt/flink:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\nflink:x:9999:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
}
# What native code in jars is linked to: RocksDB unpacks its library when a job starts.
userland_native() { # root
  local name path
  for name in libpthread.so.0 librt.so.1 libdl.so.2 libstdc++.so.6 libm.so.6 libgcc_s.so.1; do
    path=$(/sbin/ldconfig -p | awk -v name="$name" '$1 == name && /x86-64/ {print $NF; exit}')
    [ -n "$path" ] || { say "no $name here: apt-get install libstdc++6"; return 1; }
    [ -e "$1$path" ] || { mkdir -p "$1$(dirname "$path")"; cp -L "$path" "$1$path"; }
    userland_libraries "$1" "$path"
  done
}
userland_libraries() { # root file
  ldd "$2" 2>/dev/null | awk '/=> \//{print $3} /^\t\/lib/{print $1}' | while read -r library; do
    [ -e "$1$library" ] || { mkdir -p "$1$(dirname "$library")"; cp -L "$library" "$1$library"; }
  done || true
}
