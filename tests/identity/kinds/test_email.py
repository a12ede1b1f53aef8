"""E-mail addresses of nobody, and those of a function in many languages."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.kinds.email import email, is_role_mail, mails


@pytest.mark.parametrize(
    "local",
    [
        "noemail",
        "no.email",
        "NoEmail1",
        "no-mail",
        "none",
        "keine",
        "sin.correo",
        "pas-de-mail",
        "brak",
        "geen.email",
        "nobody",
        "n.a.",
        "test",
    ],
)
def test_a_mailbox_of_nobody_is_no_value(local):
    assert email(f"{local}@gmail.com") is None
    assert mails(pa.array([f"{local}@gmail.com"])).to_pylist() == [None]


@pytest.mark.parametrize("local", ["netta", "bezos", "todor", "nonna", "nadia", "testa.anna"])
def test_a_persons_mailbox_stays(local):
    assert email(f"{local}@acme.com")


@pytest.mark.parametrize(
    "local",
    [
        "info", "info2", "kontakt", "ventas", "vendas", "buchhaltung", "compta", "administracja", "büro", "buero", "ufficio", "rechnung",
        "facturacion", "no-reply", "customer.service", "geschaeftsleitung", "amministrazione", "ksiegowosc", "podatelna", "szamlazas",
        "contabilitate", "racunovodstvo", "muhasebe", "buhgalteria", "asiakaspalvelu", "kundtjänst", "boekhouding", "faktura", "financeiro",
        "logistirio", "sales.uk", "info-berlin", "keuangan",
    ],
)  # fmt: skip
def test_a_mailbox_of_a_function_is_told_in_many_languages(local):
    assert is_role_mail(email(f"{local}@acme.com"))


@pytest.mark.parametrize("local", ["rene", "anna.info", "infantino", "ventura", "marketa", "officer"])
def test_a_name_is_no_function(local):
    assert not is_role_mail(email(f"{local}@acme.com"))


@given(
    st.lists(st.builds("{}@{}".format, st.text("no-e.mail1ü+", max_size=9), st.sampled_from(["gmail.com", "x.org", "example.com", "x"])))
)
def test_columns_say_what_values_say(texts):
    assert mails(pa.array(texts, pa.string())).to_pylist() == [email(text) for text in texts]
