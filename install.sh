#!/bin/sh
# Installs provost: the program, its man pages and its shell completions; with --system also the
# account, folders and systemd units of a daemon. Run it with --help.
#
# The whole body is in main(), called on the last line, so that a half-copied script does nothing.
# Each file is written under a temporary name and renamed, so that a running daemon keeps its old
# program and an interrupted run leaves no half of a file. What was installed is listed in
# PREFIX/share/provost/installed-files: a later run removes what is no longer shipped, and
# --uninstall removes exactly that list. Data, keys and configuration are never removed.

set -eu

usage() {
    cat <<'USAGE'
Install provost from this checkout.

Usage: ./install.sh [OPTIONS]

  --prefix DIR    where to install (default: /usr/local; ~/.local when not root)
  --binary FILE   install this program instead of building one with cargo
  --system        also prepare a daemon: the user "provost", /var/lib/provost (0700),
                  /etc/provost/provost.toml, and the systemd units where there is systemd.
                  Needs root. Starts nothing; prints the commands that do.
  --uninstall     remove what an earlier run put under the prefix, and the systemd units;
                  keeps data, configuration and the user, and says where they are
  --dry-run       say what would be done, change nothing
  --help          this text

Environment: DESTDIR is put in front of every path, for packagers; no user is created then and
systemd is not told.

Safe to repeat: running it again upgrades in place.
USAGE
}

say() { printf '%s\n' "$*"; }

warn() { printf 'warning: %s\n' "$*" >&2; }

# fail STATUS MESSAGE [HINT]: the exit statuses are provost's own (2 usage, 3 denied, 10 busy).
fail() {
    printf 'error: %s\n' "$2" >&2
    if [ $# -gt 2 ]; then printf 'hint: %s\n' "$3" >&2; fi
    exit "$1"
}

cleanup() {
    if [ -n "${temporary:-}" ]; then rm -f "$temporary"; fi
    if [ -n "${list:-}" ]; then rm -f "$list"; fi
}

# The folder in which this script lies, whatever the caller's own folder is.
find_source() {
    case $0 in
        */*) source_dir=$(cd "$(dirname "$0")" && pwd) ;;
        *) source_dir=$PWD ;;
    esac
}

# folder PATH MODE: creates a folder (with its parents) if it is not there.
folder() {
    if [ -d "$1" ]; then return 0; fi
    if [ "$dry_run" = yes ]; then
        case $announced in
            *"|$1|"*) ;;
            *) say "would create    $1/"; announced="$announced|$1|" ;;
        esac
        return 0
    fi
    mkdir -p "$1" ||
        fail 3 "cannot create $1" "run it with sudo, or choose a folder of yours with --prefix"
    chmod "$2" "$1"
}

# place FILE TARGET MODE: puts a copy of FILE at TARGET in one step, and notes it in the list.
place() {
    folder "$(dirname "$2")" 0755
    if [ "$dry_run" = yes ]; then
        say "would install   $2"
        return 0
    fi
    temporary=$(dirname "$2")/.$(basename "$2").$$
    cp "$1" "$temporary" ||
        fail 3 "cannot write in $(dirname "$2")" "run it with sudo, or choose a folder of yours with --prefix"
    chmod "$3" "$temporary"
    mv -f "$temporary" "$2"
    temporary=
    printf '%s\n' "${2#"$destdir"}" >>"$list"
    say "installed       $2"
}

build() {
    if [ ! -f "$source_dir/Cargo.toml" ]; then
        fail 2 "there is no Cargo.toml beside $0, so there is nothing to build" \
            "run install.sh from a checkout of provost, or name a program with --binary FILE"
    fi
    if [ "$dry_run" = yes ]; then
        say "would build     cargo build --release --locked, in $source_dir"
        binary=
        return 0
    fi
    if ! command -v cargo >/dev/null 2>&1; then
        fail 2 "cargo is not on the PATH, so provost cannot be built" \
            "install Rust from https://rustup.rs, or build as the user who has it (cargo build --release --locked) and run: $0 --binary $source_dir/target/release/provost"
    fi
    if ! command -v cc >/dev/null 2>&1; then
        fail 2 "there is no C compiler (cc), which building SQLite needs" \
            "on Debian and Ubuntu: apt-get install gcc libc6-dev; on Alpine: apk add build-base"
    fi
    say "building        cargo build --release --locked"
    (cd "$source_dir" && cargo build --release --locked) ||
        fail 1 "the build failed; nothing was installed" "the reason is in cargo's own words above"
    target_dir=$(cd "$source_dir" && cargo metadata --format-version 1 --no-deps --locked |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    binary=$target_dir/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}release/provost
}

# A program for another machine, or another program, is better refused now than at the next boot.
check_binary() {
    if [ ! -f "$binary" ]; then
        fail 2 "there is no file $binary" "build it first: cargo build --release --locked"
    fi
    if [ -n "$destdir" ]; then return 0; fi
    case $binary in
        /*) ;;
        *) binary=$PWD/$binary ;;
    esac
    if [ ! -x "$binary" ]; then fail 2 "$binary is not executable" "chmod +x $binary"; fi
    version=$("$binary" --version 2>/dev/null) || version=
    case $version in
        "provost "*) ;;
        *) fail 2 "$binary does not run here as provost" \
            "check that it was built for this machine ($(uname -s) $(uname -m)): $binary --version" ;;
    esac
}

install_program() {
    if [ "$dry_run" = yes ]; then
        folder "$prefix/bin" 0755
        say "would install   $prefix/bin/provost"
    else
        place "$binary" "$prefix/bin/provost" 0755
    fi
}

install_pages() {
    pages=0
    for page in "$source_dir"/man/*.1; do
        if [ -f "$page" ]; then
            place "$page" "$prefix/share/man/man1/$(basename "$page")" 0644
            pages=$((pages + 1))
        fi
    done
    if [ "$pages" -eq 0 ]; then warn "no man pages in $source_dir/man: left out"; fi
}

install_completion() {
    if [ -f "$source_dir/completions/$1" ]; then
        place "$source_dir/completions/$1" "$prefix/share/$2" 0644
    else
        warn "no $source_dir/completions/$1: left out"
    fi
}

system_user() {
    if [ -n "$destdir" ]; then return 0; fi
    if id provost >/dev/null 2>&1; then return 0; fi
    if [ "$dry_run" = yes ]; then
        say "would create    the system user provost"
        return 0
    fi
    shell=$(command -v nologin || printf '/bin/false')
    if command -v useradd >/dev/null 2>&1; then
        useradd --system --user-group --home-dir /var/lib/provost --no-create-home --shell "$shell" provost
    elif command -v adduser >/dev/null 2>&1; then
        addgroup -S provost 2>/dev/null || :
        adduser -S -D -H -h /var/lib/provost -s "$shell" -G provost provost
    else
        fail 1 "there is neither useradd nor adduser here" \
            "create a system user and group named provost, then run this again"
    fi
    say "created         the system user provost"
}

# The settings belong to root, so that a daemon gone astray cannot change them, and root and the
# daemon's account can read them. provost refuses a file of anybody else's.
system_folders() {
    folder "$destdir/etc/provost" 0755
    if [ ! -d "$destdir/var/lib/provost" ]; then
        folder "$destdir/var/lib/provost" 0700
        if [ "$dry_run" = no ]; then
            if [ -z "$destdir" ]; then chown provost:provost /var/lib/provost; fi
            say "created         $destdir/var/lib/provost (0700)"
        fi
    fi
    settings=$destdir/etc/provost/provost.toml
    if [ -e "$settings" ]; then
        say "kept            $settings"
        return 0
    fi
    if [ "$dry_run" = yes ]; then
        say "would create    $settings"
        return 0
    fi
    temporary=$settings.$$
    (
        umask 077
        cat >"$temporary" <<'SETTINGS'
# The settings of the provost daemon. Everything has a default: `provost config show --origin`
# lists what holds and where it comes from, `provost config check` finds mistakes.

data_dir = "/var/lib/provost"

# Behind nginx, Caddy or Traefik on this machine:
# [server]
# public_url = "https://provost.example.org"
# behind_proxy = true
# trusted_proxies = ["127.0.0.1/32", "::1/128"]
SETTINGS
    )
    if [ -z "$destdir" ]; then chown root:provost "$temporary"; fi
    chmod 0640 "$temporary"
    mv -f "$temporary" "$settings"
    temporary=''
    say "created         $settings (0640)"
}

system_units() {
    if [ -z "$destdir" ] && [ ! -d /run/systemd/system ]; then
        warn "systemd is not running here: no units installed; see deploy/README.md for other ways"
        return 0
    fi
    for unit in provost.service provost.socket provost-purge.service provost-purge.timer; do
        if [ ! -f "$source_dir/deploy/$unit" ]; then
            fail 2 "there is no $source_dir/deploy/$unit" "run install.sh from a whole checkout of provost"
        fi
        if [ "$dry_run" = yes ]; then
            say "would install   $destdir/etc/systemd/system/$unit"
            continue
        fi
        filled=$(mktemp)
        sed "s|/usr/local/bin/provost|$bare_prefix/bin/provost|g" "$source_dir/deploy/$unit" >"$filled"
        place "$filled" "$destdir/etc/systemd/system/$unit" 0644
        rm -f "$filled"
    done
    if [ -z "$destdir" ] && [ "$dry_run" = no ]; then systemctl daemon-reload; fi
    units=yes
}

# What an earlier run installed and this one did not: gone from provost if it lies under the
# prefix; still wanted if it is a unit, for a run without --system does not take a daemon away.
finish_list() {
    if [ "$dry_run" = yes ]; then return 0; fi
    if [ -f "$manifest" ]; then
        while IFS= read -r old; do
            if grep -Fqx -- "$old" "$list"; then continue; fi
            case $old in
                "$bare_prefix"/*)
                    rm -f "$destdir$old"
                    say "removed         $destdir$old (no longer part of provost)"
                    ;;
                *) printf '%s\n' "$old" >>"$list" ;;
            esac
        done <"$manifest"
    fi
    folder "$(dirname "$manifest")" 0755
    temporary=$manifest.$$
    cp "$list" "$temporary"
    chmod 0644 "$temporary"
    mv -f "$temporary" "$manifest"
    temporary=
}

next_commands() {
    if [ "$dry_run" = yes ]; then
        say "nothing was changed"
        return 0
    fi
    if [ "$system" = yes ]; then
        say ""
        say "Nothing was started. Next:"
        if [ "$units" = yes ]; then
            say "  systemctl enable --now provost.socket provost.service    start it, now and at boot"
            say "  journalctl -u provost                                    its log; names the command that makes the first administrator"
        else
            say "  su -s /bin/sh provost -c '$bare_prefix/bin/provost --config /etc/provost/provost.toml serve --migrate'"
        fi
        say "  $source_dir/deploy/README.md    the proxy in front, operating, upgrades"
        return 0
    fi
    case ":${PATH:-}:" in
        *":$bare_prefix/bin:"*) ;;
        *) say "note: $bare_prefix/bin is not on your PATH; add: export PATH=\"$bare_prefix/bin:\$PATH\"" ;;
    esac
    say "next: provost serve"
}

uninstall() {
    if [ ! -f "$manifest" ]; then
        say "nothing to remove: no list of installed files at $manifest"
        return 0
    fi
    if grep -Fqx /etc/systemd/system/provost.service "$manifest"; then units=yes; fi
    if [ "$units" = yes ] && [ -z "$destdir" ] && [ -d /run/systemd/system ] && [ "$dry_run" = no ]; then
        for unit in provost.service provost.socket provost-purge.timer; do
            if systemctl is-active --quiet "$unit" || systemctl is-enabled --quiet "$unit" 2>/dev/null; then
                fail 10 "$unit is running or enabled; nothing was removed" \
                    "systemctl disable --now provost.service provost.socket provost-purge.timer, then run this again"
            fi
        done
    fi
    while IFS= read -r old; do
        if [ ! -e "$destdir$old" ]; then continue; fi
        if [ "$dry_run" = yes ]; then
            say "would remove    $destdir$old"
        else
            rm -f "$destdir$old" ||
                fail 3 "cannot remove $destdir$old" "run it with sudo"
            say "removed         $destdir$old"
        fi
    done <"$manifest"
    if [ "$dry_run" = yes ]; then
        say "nothing was changed"
        return 0
    fi
    rm -f "$manifest"
    rmdir "$(dirname "$manifest")" 2>/dev/null || :
    if [ "$units" = yes ] && [ -z "$destdir" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    for kept in "$destdir/var/lib/provost" "$destdir/etc/provost" \
        "${XDG_DATA_HOME:-${HOME:-}/.local/share}/provost" "${XDG_CONFIG_HOME:-${HOME:-}/.config}/provost"; do
        if [ -d "$kept" ]; then say "kept            $kept (data and settings: yours to delete)"; fi
    done
    if [ "$units" = yes ] && [ -z "$destdir" ]; then say "kept            the system user provost"; fi
}

main() {
    prefix='' binary='' system=no action=install dry_run=no units=no announced='' temporary='' list=''
    destdir=${DESTDIR:-}
    destdir=${destdir%/}
    given_binary=no
    while [ $# -gt 0 ]; do
        case $1 in
            --prefix | --binary)
                if [ $# -lt 2 ] || [ -z "$2" ]; then fail 2 "$1 needs a value" "see $0 --help"; fi
                if [ "$1" = --prefix ]; then prefix=$2; else binary=$2 given_binary=yes; fi
                shift
                ;;
            --prefix=?*) prefix=${1#*=} ;;
            --binary=?*) binary=${1#*=} given_binary=yes ;;
            --system) system=yes ;;
            --uninstall) action=uninstall ;;
            --dry-run) dry_run=yes ;;
            --help | -h)
                usage
                exit 0
                ;;
            *) fail 2 "unknown option: $1" "see $0 --help" ;;
        esac
        shift
    done

    user=$(id -u)
    if [ -z "$prefix" ]; then
        if [ "$user" -eq 0 ] || [ -n "$destdir" ]; then
            prefix=/usr/local
        elif [ -n "${HOME:-}" ]; then
            prefix=$HOME/.local
        else
            fail 2 "HOME is not set, so there is no default prefix" "name one with --prefix DIR"
        fi
    fi
    case $prefix in
        /*) ;;
        *) prefix=$PWD/$prefix ;;
    esac
    prefix=${prefix%/}
    case $system$prefix in
        yes*[!A-Za-z0-9/._-]*)
            fail 2 "a systemd unit cannot name this prefix safely: $prefix" \
                "choose one of plain letters, digits, / . _ - with --prefix DIR"
            ;;
    esac
    bare_prefix=$prefix
    prefix=$destdir$prefix
    manifest=$prefix/share/provost/installed-files
    if [ "$system" = yes ] && [ "$user" -ne 0 ] && [ -z "$destdir" ]; then
        fail 3 "--system needs root" "run: sudo $0 --system (add --binary FILE if cargo is only on your own PATH)"
    fi

    umask 022
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    find_source

    if [ "$action" = uninstall ]; then
        uninstall
        return 0
    fi

    if [ "$given_binary" = no ]; then build; fi
    if [ -n "$binary" ]; then check_binary; fi
    if [ "$dry_run" = no ]; then list=$(mktemp); fi
    install_program
    install_pages
    install_completion provost.bash bash-completion/completions/provost
    install_completion _provost zsh/site-functions/_provost
    install_completion provost.fish fish/vendor_completions.d/provost.fish
    if [ "$system" = yes ]; then
        system_user
        system_folders
        system_units
    fi
    finish_list
    next_commands
}

main "$@"
