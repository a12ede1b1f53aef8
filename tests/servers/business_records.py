"""Records of business systems as their documentation shows them, and what their entity says of them: rows of `test_silver.RECORDS`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

WHEN = dt.datetime(2026, 1, 31, 8, 15, tzinfo=dt.UTC)
ISO = "2026-01-31T08:15:00Z"
JSON_DATE = "/Date(1769847300000+0000)/"
LABEL = "OData.Community.Display.V1.FormattedValue"

BUSINESS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any] | None]]] = {
    "dynamics365": {
        "accounts": (
            {
                "accountid": "a1",
                "name": " Acme  Ltd",
                "websiteurl": "https://www.acme.example/x",
                "industrycode": 12,
                "industry_label": "Wholesale",
                "revenue": 1000000.0,
                "address1_city": "Ulm",
                "address1_country": "Germany",
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {"name": "Acme Ltd", "website": "acme.example", "industry": "Wholesale", "country": "DE", "annual_revenue": Decimal(1000000)},
        ),
        "contacts": (
            {
                "contactid": "c1",
                "firstname": "Yvonne",
                "lastname": "McKay",
                "emailaddress1": "Y@Acme.example",
                "birthdate": "1980-02-29",
                "donotemail": True,
                "employer_name": "",
                "companyname": None,
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {
                "family_name": "McKay",
                "email": "y@acme.example",
                "do_not_contact": True,
                "employer": None,
                "birth_date": dt.date(1980, 2, 29),
            },
        ),
        "leads": (
            {
                "leadid": "l1",
                "firstname": "Ann",
                "lastname": "Lee",
                "companyname": "Acme",
                "emailaddress1": "a@acme.example",
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {"employer": "Acme", "source_created_at": WHEN, "do_not_contact": False},
        ),
        "opportunities": (
            {
                "opportunityid": "o1",
                "name": "Big",
                "_customerid_value": "a1",
                "_parentaccountid_value": None,
                "stepname": None,
                "status_label": "In Progress",
                "statuscode": 1,
                "estimatedvalue": 12.5,
                "actualvalue": None,
                "estimatedclosedate": "2026-01-31",
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {"account_ref": "a1", "stage": "In Progress", "value": Decimal("12.5"), "close_date": dt.date(2026, 1, 31)},
        ),
        "orders": (
            {
                "salesorderid": "s1",
                "ordernumber": "ORD-1",
                "_customerid_value": "a1",
                "totalamount": 12.5,
                "statuscode": 1,
                "transactioncurrencyid": {"isocurrencycode": "EUR"},
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {"number": "ORD-1", "order_total": Decimal("12.5"), "currency": "EUR", "status": "1", "ordered_at": WHEN},
        ),
        "invoices": (
            {
                "invoiceid": "i1",
                "invoicenumber": "INV-1",
                "_customerid_value": "a1",
                "totalamount": 0,
                "status_label": "Paid",
                "transactioncurrencyid": {"isocurrencycode": "EUR"},
                "createdon": ISO,
                "modifiedon": ISO,
                "duedate": "2026-01-31",
            },
            {"total": Decimal(0), "status": "Paid", "issued_at": WHEN, "due_at": dt.datetime(2026, 1, 31, tzinfo=dt.UTC)},
        ),
        "products": (
            {
                "productid": "p1",
                "name": "Gold",
                "productnumber": "G",
                "is_active": True,
                "price": 9.99,
                "unit_label": "Piece",
                "transactioncurrencyid": None,
                "createdon": ISO,
                "modifiedon": ISO,
            },
            {"code": "G", "is_active": True, "unit": "Piece", "currency": None},
        ),
    },
    "sap": {
        "persons": (
            {
                "BusinessPartner": "1",
                "FirstName": "Ann",
                "LastName": "Lee",
                "BirthDate": "/Date(320630400000)/",
                "CreationDate": JSON_DATE,
                "address": {"StreetName": "Main St", "HouseNumber": "", "CityName": "Ulm", "Country": "DE"},
                "email": "A@acme.example",
                "phone": None,
                "mobile": "+49711123456",
                "changed_on": JSON_DATE,
                "IsMarkedForArchiving": False,
            },
            {
                "given_name": "Ann",
                "birth_date": dt.date(1980, 2, 29),
                "street": "Main St",
                "phone": "+49711123456",
                "source_created_at": WHEN,
            },
        ),
        "organizations": (
            {
                "BusinessPartner": "2",
                "OrganizationBPName1": "Acme",
                "OrganizationBPName2": "Holding",
                "CreationDate": JSON_DATE,
                "address": {"StreetName": "Main St", "HouseNumber": "12", "Region": "BW"},
                "website": "https://acme.example",
            },
            {"name": "Acme Holding", "street": "Main St 12", "region": "BW", "website": "acme.example"},
        ),
        "sales_orders": (
            {
                "SalesOrder": "1",
                "SoldToParty": "2",
                "TotalNetAmount": "12.50",
                "TransactionCurrency": "EUR",
                "SalesOrderDate": JSON_DATE,
                "OverallSDProcessStatus": "C",
                "items": [{"Material": "M1"}],
                "LastChangeDateTime": JSON_DATE,
            },
            {
                "order_total": Decimal("12.5"),
                "currency": "EUR",
                "ordered_at": WHEN,
                "source_updated_at": WHEN,
                "items": '[{"Material":"M1"}]',
            },
        ),
        "billing_documents": (
            {
                "BillingDocument": "9",
                "SoldToParty": "2",
                "PayerParty": "",
                "TotalNetAmount": "10.00",
                "TransactionCurrency": "EUR",
                "BillingDocumentDate": JSON_DATE,
            },
            {"number": "9", "total": Decimal(10), "issued_at": WHEN, "customer_ref": "2"},
        ),
        "products": (
            {"Product": "M1", "name": None, "BaseUnit": "PC", "CreationDate": JSON_DATE, "LastChangeDate": None},
            {"name": "M1", "code": "M1", "unit": "PC", "source_updated_at": WHEN},
        ),
    },
    "sap_odata4": {
        "sales_orders": (
            {
                "SalesOrder": "1",
                "SoldToParty": "2",
                "TotalNetAmount": 12.5,
                "TransactionCurrency": "EUR",
                "SalesOrderDate": "2026-01-31",
                "_Item": [],
                "LastChangeDateTime": ISO,
            },
            {"order_total": Decimal("12.5"), "ordered_at": dt.datetime(2026, 1, 31, tzinfo=dt.UTC), "source_updated_at": WHEN},
        ),
        "products": (
            {"Product": "M1", "name": "Bolt", "BaseUnit": "PC", "LastChangeDateTime": ISO},
            {"name": "Bolt", "source_updated_at": WHEN},
        ),
    },
    "pipedrive": {
        "persons": (
            {
                "id": 1,
                "name": "Jane van Dyk",
                "first_name": "Jane",
                "last_name": "van Dyk",
                "email": "Jane@Acme.example",
                "phone": "+49711123456",
                "postal_address": {"route": "Main St", "street_number": "1", "locality": "Ulm", "country": "Germany"},
                "birthday": "1980-02-29",
                "add_time": ISO,
                "update_time": ISO,
            },
            {"given_name": "Jane", "family_name": "van Dyk", "street": "Main St 1", "country": "DE", "birth_date": dt.date(1980, 2, 29)},
        ),
        "organizations": (
            {"id": 3, "name": "Acme", "address": {"locality": "Ulm"}, "website": None, "annual_revenue": 5000},
            {"name": "Acme", "city": "Ulm", "annual_revenue": Decimal(5000)},
        ),
        "deals": (
            {
                "id": 7,
                "title": "Big",
                "org_id": 3,
                "stage_id": 2,
                "status": "won",
                "value": 12.5,
                "won_time": ISO,
                "expected_close_date": None,
                "update_time": ISO,
            },
            {"name": "Big", "account_ref": "3", "stage": "2", "value": Decimal("12.5"), "close_date": dt.date(2026, 1, 31)},
        ),
        "products": (
            {"id": 5, "name": "Gold", "code": None, "price": 9.5, "currency": "eur", "is_active": True},
            {"code": "5", "price": Decimal("9.5"), "currency": "EUR", "is_active": True},
        ),
    },
    "workday": {
        "workers": (
            {
                "Employee_ID": "1",
                "First_Name": "Ann",
                "Preferred_First_Name": "Annie",
                "Last_Name": "Lee",
                "Work_Email": "A@acme.example",
                "Date_of_Birth": "1980-02-29-08:00",
                "Hire_Date": "2026-01-31",
                "Country": "Germany",
                "Company": "Acme",
            },
            {"given_name": "Annie", "family_name": "Lee", "email": "a@acme.example", "birth_date": dt.date(1980, 2, 29), "country": "DE"},
        ),
        "organizations": (
            {"Organization_ID": "C1", "Organization_Name": "Acme", "Organization_Type": "Company", "City": "Ulm"},
            {"name": "Acme", "city": "Ulm"},
        ),
    },
    "netsuite": {
        "customers": (
            {
                "id": "1",
                "companyname": "Acme",
                "url": "https://acme.example",
                "zip": "89073",
                "country": "DE",
                "created_at": "2026-01-31 08:15:00",
            },
            {"name": "Acme", "website": "acme.example", "postcode": "89073", "source_created_at": WHEN},
        ),
        "individuals": ({"id": "2", "firstname": "Ann", "lastname": "Lee", "email": "a@acme.example"}, {"given_name": "Ann"}),
        "contacts": ({"id": "3", "firstname": "Jo", "lastname": "Lee", "company_name": "Acme"}, {"employer": "Acme"}),
        "employees": ({"id": "4", "firstname": "Al", "lastname": "Lee", "hiredate": "2026-01-31"}, {"given_name": "Al"}),
        "invoices": (
            {
                "id": "5",
                "tranid": "INV1",
                "entity": "1",
                "status": "Open",
                "currency": "EUR",
                "foreigntotal": "12.5",
                "foreignamountunpaid": "2.5",
                "trandate": "2026-01-31",
            },
            {"number": "INV1", "total": Decimal("12.5"), "amount_due": Decimal("2.5")},
        ),
        "sales_orders": (
            {
                "id": "6",
                "tranid": "SO1",
                "entity": "1",
                "foreigntotal": "12.5",
                "currency": "EUR",
                "trandate": "2026-01-31",
                "changed_at": "2026-01-31 08:15:00",
            },
            {"order_total": Decimal("12.5"), "source_updated_at": WHEN},
        ),
        "items": ({"id": "7", "itemid": "G", "displayname": "Gold", "isinactive": "F"}, {"name": "Gold", "is_active": True}),
    },
    "odoo": {
        "persons": (
            {
                "id": 1,
                "name": "Jane van Dyk",
                "email": "J@acme.example",
                "phone": "",
                "city": "Ulm",
                "country": "Germany",
                "employer": "Acme",
                "create_date": "2026-01-31 08:15:00",
            },
            {"given_name": "Jane", "family_name": "van Dyk", "phone": None, "country": "DE", "employer": "Acme", "source_created_at": WHEN},
        ),
        "companies": ({"id": 2, "name": "Acme", "website": "https://acme.example"}, {"name": "Acme", "website": "acme.example"}),
        "sale_orders": (
            {
                "id": 3,
                "name": "S00003",
                "customer": 2,
                "state": "sale",
                "amount_total": 12.5,
                "currency": "EUR",
                "order_line": [1, 2],
                "ordered_at": "2026-01-31 08:15:00",
                "write_date": "2026-01-31 08:15:00",
            },
            {"number": "S00003", "order_total": Decimal("12.5"), "items": "[1,2]", "ordered_at": WHEN},
        ),
        "invoices": (
            {
                "id": 4,
                "number": "INV/1",
                "customer": 2,
                "state": "posted",
                "payment_state": "paid",
                "amount_total": 12.5,
                "amount_residual": 0.0,
                "currency": "EUR",
                "issued_on": "2026-01-31",
                "due_on": "",
            },
            {"status": "paid", "total": Decimal("12.5"), "amount_due": Decimal(0), "due_at": None},
        ),
        "products": (
            {"id": 5, "name": "Gold", "display_name": "[G] Gold", "code": "G", "list_price": 9.5, "active": True, "currency": "EUR"},
            {"code": "G", "price": Decimal("9.5"), "is_active": True},
        ),
        "opportunities": (
            {"id": 6, "name": "Big", "account": 2, "stage": "Won", "expected_revenue": 12.5, "closes_on": "2026-01-31"},
            {"stage": "Won", "value": Decimal("12.5"), "close_date": dt.date(2026, 1, 31)},
        ),
    },
    "lims": {
        "samples": (
            {
                "uid": "u1",
                "id": "W-1",
                "kind": "Water",
                "review_state": "published",
                "client": "Acme",
                "getDateSampled": ISO,
                "modified": ISO,
            },
            {"sample_id": "W-1", "kind": "Water", "status": "published", "sampled_at": WHEN, "source_updated_at": WHEN},
        ),
        "results": (
            {"uid": "u2", "sample": "W-1", "method": "Ca", "Result": "12.5", "Unit": "mg/l", "modified": ISO},
            {"sample_ref": "W-1", "result": "12.5", "unit": "mg/l", "is_control": False},
        ),
        "quality_controls": (
            {"uid": "u3", "sample": "QC-1", "method": "Ca", "getResult": "1.5", "getReferenceType": "b", "modified": ISO},
            {"is_control": True, "control_kind": "blank", "result": "1.5"},
        ),
        "clients": ({"uid": "u4", "title": "Acme", "address": {"city": "Ulm", "country": "Germany"}}, {"name": "Acme", "country": "DE"}),
        "contacts": (
            {"uid": "u5", "Firstname": "Rita", "Surname": "Mohale", "EmailAddress": "R@Acme.example"},
            {"email": "r@acme.example"},
        ),
    },
    "supabase": {
        "members": (
            {"organization_id": "o1", "user_id": "a", "user_name": "Ann Lee", "email": "A@acme.example"},
            {"given_name": "Ann", "family_name": "Lee", "email": "a@acme.example"},
        ),
        "functions": (
            {"project_id": "p1", "id": "f1", "slug": "hello", "status": "ACTIVE", "created_at": 1769847300000},
            {"project_ref": "p1", "ref": "hello", "started_at": WHEN},
        ),
    },
    "supabase_database": {
        "users": (
            {"id": "a", "email": "A@acme.example", "raw_user_meta_data": {"full_name": "Jane van Dyk"}, "created_at": ISO},
            {"given_name": "Jane", "family_name": "van Dyk", "email": "a@acme.example"},
        ),
        "objects": (
            {"id": "o", "bucket_id": "b", "name": "x/y.txt", "metadata": {"size": 12, "mimetype": "text/plain"}},
            {"size": 12, "mime_type": "text/plain", "folder_ref": "b"},
        ),
    },
}
