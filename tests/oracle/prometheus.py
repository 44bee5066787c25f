"""What Prometheus' own Python client reads in a page of metrics.

Usage: prometheus.py <page >samples.json

Prints a list of [family, type, name, labels, value], in the order of the page; fails if the page is
malformed.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

samples = [
    [family.name, family.type, sample.name, sample.labels, repr(float(sample.value))]
    for family in text_string_to_metric_families(sys.stdin.read())
    for sample in family.samples
]
json.dump(samples, sys.stdout)
