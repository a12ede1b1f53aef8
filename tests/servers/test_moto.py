"""AWS against moto, which keeps what is put into it: logs to the end, metrics, tagged resources, costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
import requests

from spine.core import clock
from spine.core.errors import AuthFailed
from tests.http.conftest import Answer
from tests.servers.conftest import SERVERS, free_ports, started, stopped
from tests.servers.test_own_vendors import make_vendor, served  # noqa: F401  # fixtures

PROVES = "moto, a server of AWS by others"

KEY = {"login": "AKIATEST", "password": "secret"}  # pragma: allowlist secret
NOW = clock.now()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    if not (SERVERS / "lib.sh").exists():
        pytest.skip("SPINE_SERVERS names no folder with the servers' start scripts")
    port, process = started("start_moto.sh", str(free_ports(1)))
    yield f"http://127.0.0.1:{port}"
    stopped(process)


def told(url: str, service: str, target: str, **said: Any) -> None:
    """Put something into moto, which looks at no signature."""
    scope = f"AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, "Authorization": scope}
    answer = requests.post(url, data=orjson.dumps(said), headers=headers, timeout=20)
    assert answer.ok, answer.text[:300]


def one_host(streams: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
    """All services are behind one address there."""
    for stream in streams.values():
        stream.pop("host", None)


def test_logs_metrics_resources_and_costs(reading, moto) -> None:
    ms, day = int(NOW.timestamp() * 1000) - 3_600_000, (NOW - timedelta(days=2)).date().isoformat()
    for name in ("one", "two"):
        told(moto, "logs", "Logs_20140328.CreateLogGroup", logGroupName=name)
    told(moto, "logs", "Logs_20140328.CreateLogStream", logGroupName="one", logStreamName="s")
    events = [{"timestamp": ms + number, "message": f"m{number}"} for number in range(30)]
    told(moto, "logs", "Logs_20140328.PutLogEvents", logGroupName="one", logStreamName="s", logEvents=events)
    for value in (1, 3):
        dimensions = [{"Name": "InstanceId", "Value": "i-1"}]
        datum = {"MetricName": "CPU", "Value": value, "Dimensions": dimensions, "Timestamp": ms // 1000}
        told(moto, "monitoring", "GraniteServiceVersion20100801.PutMetricData", Namespace="Acme", MetricData=[datum])
    told(moto, "logs", "Logs_20140328.TagLogGroup", logGroupName="two", tags={"team": "blue"})
    group = {
        "Keys": ["AmazonEC2", "123"],
        "Metrics": {"UnblendedCost": {"Amount": "1.25", "Unit": "USD"}, "UsageQuantity": {"Amount": "3"}},
    }
    days = [
        {
            "TimePeriod": {"Start": day, "End": day},
            "Total": {},
            "Estimated": True,
            "Groups": [group, {**group, "Keys": ["AmazonS3", "123"]}],
        }
    ]
    costs = {"results": [{"ResultsByTime": days}]}
    assert requests.post(f"{moto}/moto-api/static/ce/cost-and-usage-results", json=costs, timeout=20).ok

    def small(streams: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
        one_host(streams, said)
        streams["log_events"]["body"]["json"]["limit"] = 10

    aws = reading("aws_cloudwatch", moto, small, extra={"region": "eu-central-1", "namespaces": "Acme"}, **KEY)
    found = aws.sync("log_groups", "log_events", "metrics", "metric_hours", "resources", "costs")
    assert {name: result["rows"] for name, result in found.items() if name != "resources"} == {
        "log_groups": 2, "log_events": 30, "metrics": 1, "metric_hours": 1, "costs": 2,
    }  # fmt: skip
    assert found["log_events"]["pages"] >= 4
    hour = aws.records("metric_hours")[0]
    assert (hour["Sum"], hour["Average"], hour["dimensions"]) == (4.0, 2.0, "InstanceId=i-1")
    assert {(row["service"], row["account"], row["day"]) for row in aws.records("costs")} == {
        ("AmazonEC2", "123", day),
        ("AmazonS3", "123", day),
    }
    told(
        moto,
        "logs",
        "Logs_20140328.PutLogEvents",
        logGroupName="one",
        logStreamName="s",
        logEvents=[{"timestamp": ms + 99, "message": "new"}],
    )
    aws.sync("log_events")
    assert [record["message"] for record in aws.records("log_events", run=2)] == ["new"]


def test_a_resource_is_told_by_its_name(reading, served) -> None:  # noqa: F811
    names = ["arn:aws:ec2:eu-central-1:123:instance/i-1", "arn:aws:s3:::bucket", "arn:aws:rds:eu-central-1:123:db:shop"]
    rows = [{"ResourceARN": name, "Tags": [{"Key": "team", "Value": "blue"}]} for name in names]

    def serve(seen: Any) -> Any:
        start = int(orjson.loads(seen.body).get("PaginationToken", 0))
        return {"PaginationToken": str(start + 2) if start + 2 < len(rows) else "", "ResourceTagMappingList": rows[start : start + 2]}

    aws = reading("aws_cloudwatch", served(serve), one_host, extra={"region": "eu-central-1"}, **KEY)
    aws.sync("resources")
    told_of = {(row["service"], row["region"], row["account"], row["name"]) for row in aws.records("resources")}
    assert told_of == {("ec2", "eu-central-1", "123", "instance/i-1"), ("s3", "", "", "bucket"), ("rds", "eu-central-1", "123", "db:shop")}


def test_keys_are_refused_and_too_many_calls_told_with_status_400(reading, served) -> None:  # noqa: F811
    answers = [Answer(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})]
    aws = reading(
        "aws_cloudwatch", served(lambda seen: answers.pop() if answers else {"logGroups": []}), one_host, extra={"region": "x"}, **KEY
    )
    assert aws.sync("log_groups")["log_groups"]["rows"] == 0
    assert len(aws.slept) >= 1
    refused = Answer(400, {"__type": "UnrecognizedClientException", "message": "The security token included in the request is invalid."})
    with pytest.raises(AuthFailed):
        reading("aws_cloudwatch", served(lambda seen: refused), one_host, extra={"region": "x"}, **KEY).sync("log_groups")
