"""Names, legal forms and domains of organisations, in the language of their country."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from spine.sandbox import names as sandbox

from . import words

Array: TypeAlias = Any  # numpy arrays of many element types
_ACTIVITIES = {
    "en": tuple(sandbox.ACTIVITIES),
    "de": ("Bau", "Logistik", "Technik", "Handel", "Elektro", "Verlag", "Maschinenbau", "Beratung", "Versicherungen", "Spedition",
        "Druckerei", "Reisen", "Apotheke", "Immobilien", "Metallbau", "Gartenbau", "Stiftung", "Software", "Textil", "Brauerei"),
    "fr": ("Transports", "Conseil", "Bâtiment", "Électricité", "Assurances", "Menuiserie", "Informatique", "Traiteur", "Imprimerie",
        "Pharmacie", "Immobilier", "Voyages", "Textile", "Mécanique", "Énergie", "Négoce"),
    "es": ("Construcciones", "Transportes", "Consultores", "Seguros", "Electricidad", "Informática", "Farmacia", "Imprenta",
        "Inmobiliaria", "Viajes", "Textil", "Talleres", "Energía", "Comercial", "Alimentos", "Servicios"),
    "it": ("Costruzioni", "Trasporti", "Consulenza", "Assicurazioni", "Elettronica", "Informatica", "Farmacia", "Tipografia",
        "Immobiliare", "Viaggi", "Tessile", "Officina", "Energia", "Alimentari"),
    "pl": ("Budowa", "Transport", "Usługi", "Handel", "Elektro", "Drukarnia", "Apteka", "Meble", "Energia", "Technika", "Doradztwo",
        "Textil"),
    "ru": ("Строй", "Логистика", "Торг", "Техника", "Энерго", "Сервис", "Консалт", "Медиа", "Фарм", "Транс", "Металл", "Мебель", "Софт",
        "Агро"),
    "el": ("Κατασκευές", "Μεταφορές", "Εμπορική", "Ασφάλειες", "Τεχνική", "Ενέργεια", "Τουριστική", "Εκδόσεις", "Τρόφιμα"),
    "zh": ("科技", "贸易", "物流", "建筑", "电子", "食品", "医药", "咨询", "传媒", "机械", "能源", "纺织", "地产", "旅游"),
    "ja": ("製作所", "商事", "建設", "物流", "電機", "食品", "製薬", "不動産", "印刷", "運輸", "工業", "観光"),
    "ko": ("건설", "물류", "전자", "식품", "제약", "무역", "산업", "화학", "미디어", "관광", "에너지"),
    "ar": ("للمقاولات", "للتجارة", "للنقل", "للأدوية", "للتأمين", "للأغذية", "للسياحة", "للطباعة", "للطاقة"),
    "fa": ("سازه", "تجارت", "حمل و نقل", "دارو", "بیمه", "صنعت", "انرژی", "گستر"),
}  # fmt: skip
_LANGUAGES = {
    "DE": "de", "FR": "fr", "ES": "es", "PT": "es", "BR": "es", "MX": "es", "IT": "it", "PL": "pl", "CZ": "pl", "RU": "ru", "UA": "ru",
    "GR": "el", "CN": "zh", "JP": "ja", "KR": "ko", "EG": "ar", "IR": "fa",
}  # fmt: skip
# Each legal form of a country with its spellings.
_FORMS = {code: tuple(sandbox.LEGAL_VARIANTS[form] for form in forms) for code, forms in sandbox.LEGAL_FORMS.items()} | {
    "IT": (("S.r.l.", "SRL", "Srl"), ("S.p.A.", "SPA", "SpA")), "PT": (("Lda.", "Lda", "Limitada"), ("S.A.", "SA")),
    "BR": (("Ltda.", "Ltda", "LTDA", "Limitada"), ("S.A.", "S/A")), "MX": (("S.A. de C.V.", "SA de CV"), ("S. de R.L.", "S de RL")),
    "NL": (("B.V.", "BV"), ("N.V.", "NV")), "PL": (("Sp. z o.o.", "sp. z o. o.", "Spółka z o.o."), ("S.A.", "SA")),
    "CZ": (("s.r.o.", "s. r. o.", "spol. s r.o."), ("a.s.", "a. s.")), "SE": (("AB", "Aktiebolag"), ("HB",)),
    "HU": (("Kft.", "Kft", "KFT"), ("Zrt.", "Zrt")), "TR": (("Ltd. Şti.", "Ltd Şti", "Limited Şirketi"), ("A.Ş.", "AŞ")),
    "RU": (("ООО", "Общество с ограниченной ответственностью"), ("АО", "ОАО")),
    "UA": (("ТОВ", "Товариство з обмеженою відповідальністю"), ("ПП",)),
    "GR": (("Α.Ε.", "ΑΕ"), ("Ε.Π.Ε.", "ΕΠΕ")), "CN": (("有限公司", "有限责任公司"), ("股份有限公司",)),
    "JP": (("株式会社", "(株)"), ("有限会社", "(有)")),
    "KR": (("주식회사", "(주)"),), "EG": (("ش.م.م", "ش م م"),), "IR": (("شرکت", "شرکت سهامی خاص"),),
}  # fmt: skip
_FORM_FIRST = ("RU", "UA", "IR")
_SYLLABLES = [one + two for one in (*"bcdfgklmnprstvz", "st", "tr", "cl") for two in (*"aeiou", "an", "en", "or", "ix")]
_HEADS = (
    "First", "St. Mary's", "St. Joseph", "Trinity", "Grace", "Central", "City", "Main Street", "Sunshine", "Golden Dragon", "Riverside",
    "Lakeside", "Park", "Old Town", "Roma", "Bella", "Royal", "Family", "Village", "Hillside", "Oak", "Victory", "Hope", "Unity",
)  # fmt: skip
_TAILS = (
    "Church", "School", "Dental Care", "Pharmacy", "Restaurant", "Hotel", "Day Care", "Clinic", "Laundry", "Motors", "Bakery", "Salon",
    "Cleaners", "Garage", "Cafe", "Veterinary Clinic", "Nursing Home", "Foundation",
)  # fmt: skip
_GENERIC = tuple(f"{head} {tail}" for head in _HEADS for tail in _TAILS)


@dataclass(frozen=True)
class Firms:
    """Organisations by number: the name in three spellings, the domain's word, dice for its legal form, its country's number."""

    native: pl.Series
    latin: pl.Series
    latin_too: pl.Series
    slug: pl.Series
    form: Array
    country: Array


class Registry:
    """Makes and writes the names of organisations of some countries."""

    def __init__(self, countries: Sequence[str], surnames: words.Words, cities: words.Words) -> None:
        self.countries, self._surnames, self._cities = countries, surnames, cities
        self._activities = words.listed(countries, [_ACTIVITIES[_LANGUAGES.get(code, "en")] for code in countries], 0.4)
        brands = [f"{adjective} {noun}" for adjective in sandbox.ADJECTIVES for noun in sandbox.NOUNS]
        np.random.default_rng(3).shuffle(brands)
        self._brands = pl.Series(brands)
        self._blank = pl.Series(["" if code in ("CN", "JP", "KR") else " " for code in countries])
        self._foreign = np.array([code in words.NOT_LATIN for code in countries])
        self._spellings = [[pl.Series(form) for form in _FORMS[code]] for code in countries]

    def make(self, rng: np.random.Generator, country: Array, generic: float = 0.0) -> Firms:
        """A new organisation for each row: named after people, towns, brands or nothing; a share named like strangers elsewhere."""
        count, dice, foreign = len(country), rng.random(len(country)), self._foreign[country]
        heads = [self._surnames.ranks.draw(rng, country), self._surnames.ranks.draw(rng, country)]
        city, activity = self._cities.ranks.draw(rng, country), self._activities.ranks.draw(rng, country)
        brand = self._brands.gather((rng.random(count) ** 1.5 * len(self._brands)).astype(np.int64))
        syllables = pl.Series(_SYLLABLES)
        parts = [syllables.gather(rng.integers(0, len(_SYLLABLES), count)) for _ in range(3)]
        invented = (
            parts[0] + parts[1] + parts[2].zip_with(pl.Series(rng.random(count) < 0.6), pl.repeat("", count, eager=True))
        ).str.to_titlecase()
        commons = pl.Series(_GENERIC).gather((rng.random(count) ** 1.7 * len(_GENERIC)).astype(np.int64))
        common = (rng.random(count) < generic) & ~foreign
        spelled, form = [], rng.random(count)
        for latin, too in ((False, False), (True, False), (True, True)):
            how = (np.full(count, latin), np.full(count, too))
            one, other = (self._surnames.write(codes, None, *how) for codes in heads)
            town, work = self._cities.write(city, None, *how), self._activities.write(activity, None, *how)
            frame = pl.DataFrame({
                "dice": np.where(foreign, dice * 0.6, dice), "common": common, "brand": brand, "invented": invented, "commons": commons,
                "one": one, "other": other, "town": town, "work": work,
                "blank": pl.repeat(" ", count, eager=True) if latin else self._blank.gather(country),
            })  # fmt: skip
            roll = pl.col("dice")
            head = (pl.when(roll < 0.33).then("one").when(roll < 0.43).then(pl.concat_str(["one", pl.lit(" & "), "other"]))
                    .when(roll < 0.6).then("town").when(roll < 0.8).then("brand").otherwise("invented"))  # fmt: skip
            bare = (roll >= 0.9) | ((roll >= 0.38) & (roll < 0.43))
            name = pl.when("common").then("commons").when(bare).then(head).otherwise(pl.concat_str([head, "blank", "work"]))
            spelled.append(frame.select(name).to_series())
        slug = words.slugs(spelled[1])
        return Firms(spelled[0], spelled[1], spelled[2], slug, form, country)

    def domains(self, firms: Firms) -> pl.Series:
        """A domain for each organisation, made of its name; later ones of one name get a number."""
        ending = pl.Series([f".{words.COUNTRIES[code].tld}" for code in self.countries]).gather(firms.country)
        return words.numbered(firms.slug, ending)

    def write(self, rng: np.random.Generator, firms: Firms, which: Array, latin: Array, other: Array, lost: Array) -> pl.Series:
        """The names of the organisations `which`, a row each, with the legal form in its usual or some `other` spelling, or without."""
        too = rng.random(len(which)) < 0.4
        name = firms.latin_too.gather(which).zip_with(pl.Series(too), firms.latin.gather(which))
        name = name.zip_with(pl.Series(latin), firms.native.gather(which))
        country, roll, spelling = firms.country[which], firms.form[which], np.where(other, rng.random(len(which)), 0.0)
        with_form = name
        for number, code in enumerate(self.countries):
            for at, spellings in enumerate(self._spellings[number]):
                total = len(self._spellings[number])
                rows = np.flatnonzero((country == number) & (np.minimum((roll * total).astype(int), total - 1) == at) & ~lost)
                form = spellings.gather((spelling[rows] * len(spellings)).astype(int))
                whole = form + " " + name.gather(rows) if code in _FORM_FIRST else name.gather(rows) + self._space(code) + form
                with_form = with_form.scatter(rows, whole)
        return with_form

    @staticmethod
    def _space(code: str) -> str:
        return "" if code in ("CN", "JP") else " "
