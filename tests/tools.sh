# Sourced by the project's scripts: makes sure that a program is there.

# need PROGRAM PACKAGE: where PROGRAM is missing, installs Debian's PACKAGE if we may, else says what to do.
need() {
  command -v "$1" >/dev/null 2>&1 && return 0
  # rustup puts cargo where only login shells look.
  if [ "$1" = cargo ] && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
    return 0
  fi
  if [ "$1" = cargo ]; then
    echo "Rust is missing: install it with rustup (stable, 1.90 or newer)." >&2
    return 1
  fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing $2" >&2
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$2"; } >/dev/null
    return
  fi
  echo "$1 is missing: install the package $2." >&2
  return 1
}
