"""What records of vendors, as their documentation shows them, become in Silver by the mappings of the sources' files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from spine.lake.paths import table_uri
from spine.pipeline.normalize import normalize
from tests.servers.business_records import BUSINESS

pytestmark = pytest.mark.slow
AT = 1_769_847_300  # 2026-01-31T08:15:00Z
WHEN = dt.datetime(2026, 1, 31, 8, 15, tzinfo=dt.UTC)
ISO = "2026-01-31T08:15:00Z"

# source: stream: (record, what its entity says of it, None if it is filtered out)
RECORDS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any] | None]]] = {
    "stripe": {
        "customers": (
            {
                "id": "cus_1",
                "name": "Jane van Dyk",
                "email": "Jane@Acme.example",
                "phone": "+49711123456",
                "created": AT,
                "address": {"line1": "Main St 1", "city": "Ulm", "postal_code": "89073", "country": "DE"},
                "business_name": "Acme",
            },
            {
                "given_name": "Jane",
                "family_name": "van Dyk",
                "email": "jane@acme.example",
                "country": "DE",
                "employer": "Acme",
                "source_created_at": WHEN,
            },
        ),
        "products": ({"id": "prod_1", "name": "Gold", "active": True, "created": AT, "updated": AT}, {"name": "Gold", "is_active": True}),
        "invoices": (
            {
                "id": "in_1",
                "number": "A-1",
                "customer": "cus_1",
                "currency": "jpy",
                "total": 1200,
                "amount_due": 1200,
                "amount_paid": 0,
                "created": AT,
                "status": "open",
                "parent": {"subscription_details": {"subscription": "sub_1"}},
            },
            {"total": Decimal(1200), "currency": "JPY", "subscription_ref": "sub_1", "issued_at": WHEN, "paid_at": None},
        ),
        "charges": (
            {
                "id": "ch_1",
                "object": "charge",
                "amount": 1999,
                "amount_refunded": 0,
                "currency": "usd",
                "customer": "cus_1",
                "created": AT,
                "billing_details": {"email": "j@acme.example"},
                "payment_method_details": {"type": "card"},
                "failure_message": None,
            },
            {"kind": "charge", "amount": Decimal("19.99"), "currency": "USD", "payer_email": "j@acme.example", "method": "card"},
        ),
        "balance_transactions": (
            {
                "id": "txn_1",
                "amount": 1999,
                "fee": 88,
                "currency": "usd",
                "type": "charge",
                "status": "pending",
                "source": "ch_1",
                "created": AT,
            },
            {"amount": Decimal("19.99"), "fee": Decimal("0.88"), "is_pending": True, "reference": "ch_1"},
        ),
    },
    "github": {
        "issues": (
            {
                "id": 1,
                "number": 7,
                "title": "It breaks",
                "state": "open",
                "user": {"login": "jane"},
                "repository": "acme/web",
                "created_at": ISO,
                "updated_at": ISO,
                "closed_at": None,
            },
            {"ticket_id": "acme/web#7", "subject": "It breaks", "channel": "github", "requester_ref": "jane"},
        ),
        "users": ({"id": 5, "login": "bot", "name": None, "email": None, "told": ""}, None),
        "deployments": (
            {
                "id": 9,
                "sha": "a1",
                "ref": "main",
                "environment": "production",
                "repository": "acme/web",
                "created_at": ISO,
                "updated_at": ISO,
            },
            {"project_ref": "acme/web", "commit": "a1", "environment": "production", "started_at": WHEN},
        ),
    },
    "slack": {
        "users": (
            {"id": "U1", "is_bot": False, "profile": {"real_name": "Jane Dyk", "email": "jane@acme.example", "phone": ""}},
            {"given_name": "Jane", "family_name": "Dyk", "email": "jane@acme.example", "phone": None},
        ),
        "messages": (
            {"ts": f"{AT}.000216", "channel": "C1", "user": "U1", "text": "hi", "thread_ts": f"{AT}.000100", "files": [{"id": "F1"}]},
            {"sent_at": WHEN.replace(microsecond=216), "sender_ref": "U1", "channel": "C1", "body": "hi", "attachments": '[{"id":"F1"}]'},
        ),
        "files": ({"id": "F1", "title": "Plan", "mimetype": "text/plain", "size": 12, "created": AT}, {"name": "Plan", "size": 12}),
    },
    "zendesk": {
        "tickets": (
            {
                "id": 35436,
                "subject": "Printer",
                "raw_subject": "Printer",
                "status": "solved",
                "requester_id": 20,
                "created_at": ISO,
                "updated_at": ISO,
                "via": {"channel": "email", "source": {"from": {"address": "jane@acme.example"}}},
                "satisfaction_rating": {"score": "good"},
            },
            {"ticket_id": "35436", "satisfaction_score": "good", "requester_email": "jane@acme.example", "channel": "email"},
        ),
        "organizations": (
            {"id": 7, "name": "Acme", "domain": "acme.example", "created_at": ISO},
            {"name": "Acme", "website": "acme.example"},
        ),
        "comments": (
            {"id": 1, "ticket_id": "35436", "author_id": 20, "plain_body": "hi", "public": False, "created_at": ISO},
            {"channel": "35436", "body": "hi", "is_public": False, "sent_at": WHEN},
        ),
    },
    "twilio": {
        "messages": (
            {
                "sid": "SM1",
                "from": "+15551",
                "to": "+15552",
                "body": "hi",
                "direction": "outbound-api",
                "status": "sent",
                "num_media": "0",
                "date_sent": "Sat, 31 Jan 2026 08:15:00 +0000",
                "messaging_service_sid": None,
            },
            {"sent_at": WHEN, "sender_ref": "+15551", "recipient_ref": "+15552", "channel": "+15551"},
        ),
    },
    "intercom": {
        "contacts": (
            {
                "id": "c1",
                "name": "Jane Dyk",
                "email": "jane@acme.example",
                "created_at": AT,
                "unsubscribed_from_emails": True,
                "location": {"city": "Ulm", "country": "Germany"},
            },
            {"given_name": "Jane", "do_not_contact": True, "country": "DE", "source_created_at": WHEN},
        ),
        "companies": ({"id": "k1", "name": "Acme", "website": "https://www.acme.example/x", "created_at": AT}, {"website": "acme.example"}),
        "tickets": (
            {
                "id": "t1",
                "ticket_id": "7",
                "ticket_attributes": {"_default_title_": "Help"},
                "ticket_state": {"category": "submitted"},
                "created_at": AT,
                "updated_at": AT,
                "contact": "c1",
            },
            {"ticket_id": "7", "subject": "Help", "status": "submitted", "requester_ref": "c1"},
        ),
        "conversations": (
            {
                "id": "9",
                "title": None,
                "state": "closed",
                "source": {"type": "email", "subject": "<p>Hello</p>", "author": {"id": "c1"}},
                "created_at": AT,
                "updated_at": AT,
                "conversation_rating": {"rating": 5},
                "contact": None,
            },
            {"subject": "Hello", "satisfaction_score": "5", "requester_ref": "c1"},
        ),
    },
    "vercel": {
        "deployments": (
            {
                "uid": "d1",
                "name": "web",
                "projectId": "prj_1",
                "created": AT * 1000,
                "ready": AT * 1000,
                "state": "READY",
                "target": None,
                "meta": {"githubCommitSha": "a1"},
            },
            {"project_ref": "prj_1", "environment": "preview", "status": "READY", "commit": "a1", "finished_at": WHEN},
        ),
        "members": (
            {"uid": "u1", "team_id": "t1", "name": "Jane Dyk", "email": "jane@acme.example", "createdAt": AT * 1000},
            {"given_name": "Jane", "email": "jane@acme.example"},
        ),
    },
    "digitalocean": {
        "invoices": (
            {
                "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
                "invoice_id": "123",
                "amount": "12.34",
                "invoice_period": "2026-01",
                "updated_at": ISO,
            },
            {"number": "123", "total": Decimal("12.34"), "currency": "USD", "period": "2026-01"},
        ),
        "billing_history": (
            {"description": "Invoice for January 2026", "amount": "12.34", "date": ISO, "type": "Invoice", "invoice_id": "123"},
            {"amount": Decimal("12.34"), "kind": "Invoice", "posted_on": dt.date(2026, 1, 31)},
        ),
    },
    "plaid": {
        "transactions": (
            {
                "transaction_id": "t1",
                "account_id": "a1",
                "amount": 72.1,
                "iso_currency_code": "USD",
                "name": "SQ *UBER",
                "date": "2026-01-31",
                "merchant_name": "Uber",
                "personal_finance_category": {"primary": "TRANSPORTATION"},
                "pending": False,
            },
            {"amount": Decimal("72.1"), "counterparty": "Uber", "category": "TRANSPORTATION", "is_pending": False},
        ),
        "owners": (
            {
                "name": "Alberta Charleson",
                "email": "a@example.org",
                "phone": "+12025550173",
                "address": {"city": "Malakoff", "postal_code": "14236", "country": "US", "street": "2992 Cameron Road"},
            },
            {"given_name": "Alberta", "family_name": "Charleson", "city": "Malakoff", "country": "US"},
        ),
    },
    "okta": {
        "users": (
            {
                "id": "00u1",
                "status": "ACTIVE",
                "created": ISO,
                "profile": {"firstName": "Isaac", "lastName": "Brock", "email": "i@acme.example", "mobilePhone": "+12025550173"},
            },
            {"given_name": "Isaac", "family_name": "Brock", "phone": "+12025550173", "source_created_at": WHEN},
        ),
    },
    "ga4": {
        "sessions": (
            {
                "property": "1",
                "date": "20260131",
                "sessionSource": "google",
                "sessionMedium": "cpc",
                "sessionCampaignName": "Spring",
                "countryId": "DE",
                "sessions": "7",
                "totalUsers": "5",
                "userEngagementDuration": "12.5",
                "totalRevenue": "99.9",
                "currency": "eur",
            },
            {
                "day": dt.date(2026, 1, 31),
                "site_ref": "1",
                "campaign": "Spring",
                "country": "DE",
                "sessions": 7,
                "engaged_seconds": Decimal("12.5"),
                "revenue": Decimal("99.9"),
                "currency": "EUR",
            },
        ),
        "events": (
            {"property": "1", "date": "20260131", "eventName": "purchase", "platform": "web", "eventCount": "3"},
            {"day": dt.date(2026, 1, 31), "name": "purchase", "events": 3, "revenue": None},
        ),
    },
    "aws_cloudwatch": {
        "resources": (
            {
                "ResourceARN": "arn:aws:s3:::bucket",
                "service": "s3",
                "region": "",
                "account": "",
                "name": "bucket",
                "Tags": [{"Key": "team", "Value": "blue"}],
            },
            {"arn": "arn:aws:s3:::bucket", "service": "s3", "name": "bucket"},
        ),
        "costs": (
            {
                "day": "2026-01-31",
                "service": "AmazonEC2",
                "account": "123",
                "Estimated": True,
                "Metrics": {"UnblendedCost": {"Amount": "1.25", "Unit": "USD"}, "UsageQuantity": {"Amount": "3"}},
            },
            {"day": dt.date(2026, 1, 31), "cost": Decimal("1.25"), "currency": "USD", "usage": Decimal(3), "is_estimated": True},
        ),
    },
    "microsoft365": {
        "messages": (
            {
                "id": "m1",
                "user_id": "u1",
                "sender": "Ann@acme.example",
                "recipient": "bob@acme.example",
                "sentDateTime": ISO,
                "bodyPreview": "Hi",
            },
            {"sender_ref": "ann@acme.example", "recipient_ref": "bob@acme.example", "body": "Hi", "sent_at": WHEN},
        ),
        "drive_items": (
            {"id": "f1", "user_id": "u1", "name": "a.txt", "size": 12, "lastModifiedDateTime": ISO, "parentReference": {"id": "root"}},
            {"name": "a.txt", "size": 12, "folder_ref": "root", "source_updated_at": WHEN},
        ),
    },
    "google_ads": {
        "campaigns": (
            {
                "id": "7",
                "account": "111",
                "campaign": {"id": "7", "name": "Spring", "status": "ENABLED", "startDate": "2026-01-31"},
                "campaignBudget": {"amountMicros": "12500000"},
                "customer": {"currencyCode": "EUR"},
            },
            {"name": "Spring", "starts_on": dt.date(2026, 1, 31), "budget": Decimal("12.5"), "currency": "EUR", "account_ref": "111"},
        ),
    },
    "youtube": {
        "videos": (
            {
                "id": "v1",
                "kind": "youtube#video",
                "link": "https://www.youtube.com/watch?v=v1",
                "snippet": {"title": "How to", "channelId": "UC1", "description": "It is easy.", "publishedAt": ISO},
            },
            {"name": "How to", "owner_ref": "UC1", "text": "It is easy.", "source_created_at": WHEN},
        ),
        "comments": (
            {
                "id": "c1",
                "snippet": {"videoId": "v1", "isPublic": True},
                "comment": {"textOriginal": "Thanks", "authorDisplayName": "Ann", "publishedAt": ISO},
            },
            {"body": "Thanks", "sender_ref": "Ann", "channel": "v1", "is_public": True, "sent_at": WHEN},
        ),
    },
    "google_drive": {
        "files": (
            {
                "id": "f1",
                "name": "Plan",
                "mimeType": "text/plain",
                "size": "12",
                "owner": "a@acme.example",
                "folder": "0A",
                "createdTime": ISO,
                "modifiedTime": ISO,
                "trashed": False,
            },
            {"name": "Plan", "size": 12, "owner_ref": "a@acme.example", "folder_ref": "0A", "source_updated_at": WHEN},
        ),
    },
}


RECORDS |= BUSINESS


@pytest.mark.parametrize("source", RECORDS)
def test_records_become_their_entity(spark: Any, bronze: Callable[..., None], home: Any, source: str) -> None:
    for stream, (record, _) in RECORDS[source].items():
        row = {"tenant_id": "acme", "record_id": stream, "payload": record, "emitted_at": WHEN, "cursor": "2026-01-31T08:15:00.000000Z"}
        bronze(source, stream, [row])
    outcomes = normalize(spark, source, "run1").entities
    assert {name: outcome.to_json()["quarantined"] for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, 0)
    tables = [pl.read_delta(table_uri(f"{source}_{name}")) for name, outcome in outcomes.items() if outcome.to_json()["published"]]
    found = {row["stream"]: row for table in tables for row in table.to_dicts()}
    for stream, (_, expected) in RECORDS[source].items():
        assert (stream in found) is (expected is not None), stream
        for name, value in (expected or {}).items():
            assert found[stream][name] == value, (stream, name)
