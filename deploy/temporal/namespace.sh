#!/bin/sh
# Creates the namespace of the payments and waits until it can be used. Safe to run again: an existing one is left as it
# is. The search attributes are `paysaga migrate`'s work. `temporal` reads TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE itself.
set -eu
: "${TEMPORAL_ADDRESS:?}" "${TEMPORAL_NAMESPACE:?}"

# How long closed payments can be looked up in Temporal; without it three days. The ledger keeps them for ever.
RETENTION=30d
TRIES=60

ensure_namespace() {
  temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 \
    || temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
}

# The servers keep the namespaces in memory and learn of a new one some seconds later; this asks them, not the database.
namespace_is_usable() {
  temporal workflow list --namespace "$TEMPORAL_NAMESPACE" --limit 1
}

wait_until() {
  try=1
  until said=$("$@" 2>&1); do
    if [ "$try" -ge "$TRIES" ]; then
      echo "gave up after $TRIES tries: $*: $said" >&2
      exit 1
    fi
    try=$((try + 1))
    sleep 1
  done
}

wait_until temporal operator cluster health
wait_until ensure_namespace
wait_until namespace_is_usable
echo "namespace $TEMPORAL_NAMESPACE is ready"
