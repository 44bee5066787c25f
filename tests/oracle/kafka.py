#!/usr/bin/env python3
"""A Kafka broker that keeps what it receives.

Usage: kafka.py DIRECTORY [TOPIC...]

Listens on a free port of the loopback interface; prints "listening on PORT" once it does. The value
of the Nth message of a topic, from 1, goes to DIRECTORY/TOPIC/N.bin. The topics are otlp_traces,
otlp_logs and otlp_metrics unless named. Ends on SIGTERM or SIGINT.

Runs with the Python of tests/setup. The broker is that of librdkafka's own tests, which speaks the
protocol and keeps messages in memory; librdkafka's consumer reads them, checks each batch's CRC and
decompresses it.
"""

import collections
import itertools
import pathlib
import signal
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

TOPICS = ["otlp_traces", "otlp_logs", "otlp_metrics"]


def start_broker():
    """A broker, which lives as long as the producer that is returned with its address."""
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
    return owner, broker


def keep(folder, number, message):
    """A reader that sees N.bin sees all of it."""
    part = folder / f"{number}.part"
    part.write_bytes(message.value())
    part.replace(folder / f"{number}.bin")


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        sys.exit("usage: kafka.py DIRECTORY [TOPIC...]")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    folders = {name: pathlib.Path(arguments[0], name) for name in arguments[1:] or TOPICS}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    owner, broker = start_broker()
    consumer = Consumer({
        "bootstrap.servers": f"{broker.host}:{broker.port}",
        "group.id": "oracle",
        "check.crcs": True,
        "enable.auto.commit": False,
    })
    # Partitions are taken and not subscribed to: a group takes seconds to form.
    partitions = [
        TopicPartition(topic, number, 0)
        for topic in folders
        for number in owner.list_topics(topic, timeout=10).topics[topic].partitions
    ]
    consumer.assign(partitions)
    print(f"listening on {broker.port}", flush=True)
    numbers = collections.defaultdict(lambda: itertools.count(1))
    try:
        while True:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            topic = message.topic()
            keep(folders[topic], next(numbers[topic]), message)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
