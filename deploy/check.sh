#!/usr/bin/env bash
# Checks Dockerfile.cuda where no container engine is at hand: makes each stage a chroot with debootstrap and carries out its RUN and
# COPY lines there, then starts the image's command as its user and waits for it to be healthy. Needs root, debootstrap and Debian's mirror; Go's image is
# imitated by the Go of this machine. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in debootstrap chroot go curl; do
  command -v "$tool" >/dev/null || { echo "deploy/check.sh: $tool is not installed" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "deploy/check.sh: chroot needs root" >&2; exit 2; }

work=$(mktemp -d)
daemon=
clean() {
  [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
  for stage in "$work"/*/; do
    umount "$stage/proc" "$stage/dev" 2>/dev/null || true
  done
  rm -rf --one-file-system "$work"
}
trap clean EXIT

# begin IMAGE NAME: a fresh root file system for a stage.
begin() {
  echo "== FROM $1 AS $2"
  stage=$work/$2 folder=/ user=root
  local packages=()
  [ "$2" != build ] || packages=(--include=git,make,ca-certificates)
  debootstrap --variant=minbase "${packages[@]}" bookworm "$stage" >"$work/debootstrap.log" 2>&1 ||
    { tail -5 "$work/debootstrap.log" >&2; exit 1; }
  mount --bind /dev "$stage/dev"
  mount -t proc proc "$stage/proc"
  cp /etc/resolv.conf "$stage/etc/"
  if [ "$2" = build ]; then
    cp -r "$(go env GOROOT)" "$stage/usr/local/go"
    cp /etc/ssl/certs/ca-certificates.crt "$stage/etc/ssl/certs/"
  fi
}

# inside COMMAND...: in the stage, with the environment a container would have.
inside() {
  env -i PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME="$([ "$user" = root ] && echo /root || echo "$folder")" \
    ${GOPROXY:+GOPROXY="$GOPROXY"} chroot --userspec="$user" "$stage" sh -c "cd '$folder' && $*"
}

# copy [--from=STAGE] SOURCE... TARGET
copy() {
  local from=.
  case $1 in --from=*) from=$work/${1#--from=}; shift ;; esac
  local target=${!#}
  [[ $target = /* ]] || target=$folder/$target
  if [[ ${!#} = */ || ${!#} = . ]]; then mkdir -p "$stage$target"; else mkdir -p "$(dirname "$stage$target")"; fi
  for source in "${@:1:$#-1}"; do
    if [ "$from" = . ] && [ "$source" = . ]; then
      tar -c --exclude-from=<(sed 's,^\*\*/,,' .dockerignore) . | tar -x -C "$stage$target"
    else
      cp -r "$from/$source" "$stage$target"
    fi
  done
}

while read -r word rest; do
  case $word in
    FROM) set -- $rest; begin "$1" "${3:-final}" ;;
    WORKDIR) folder=$rest; mkdir -p "$stage$folder" ;;
    USER) user=$rest ;;
    RUN) echo "== RUN $rest"; inside "$rest" ;;
    COPY) echo "== COPY $rest"; copy $rest ;;
    ENTRYPOINT) entry=$(tr -d '[],"' <<<"$rest") ;;
    CMD) arguments=$(tr -d '[],"' <<<"$rest") ;;
    HEALTHCHECK) health=$(tr -d '[],"' <<<"${rest#*CMD }") ;;
  esac
done < <(grep -vE '^ *(#|$)' Dockerfile.cuda)

echo "== $entry $arguments, as $user"
inside "exec $entry $arguments" >"$work/daemon.log" 2>&1 &
daemon=$!
for try in $(seq 60); do
  if inside "$health" >"$work/health.log" 2>&1; then
    cat "$work/daemon.log" "$work/health.log"
    echo "== healthy after $try s; the image adds $(du -cm "$stage"/usr/local/bin/* | tail -1 | cut -f1) MB to its base"
    exit 0
  fi
  kill -0 "$daemon" || break
  sleep 1
done
cat "$work/daemon.log" "$work/health.log" >&2
echo "deploy/check.sh: not healthy" >&2
exit 1
