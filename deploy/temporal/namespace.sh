#!/bin/sh
# Makes the namespace if it is not there; what is closed is kept for three days, longer memory is in the product's own database.
set -eu

namespace=default
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 && exit 0
  temporal operator namespace create --namespace "$namespace" --retention 72h && exit 0
  echo "Temporal is not ready yet ($attempt)"
  sleep 3
done
exit 1
