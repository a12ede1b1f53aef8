"""Word lists that standardisation needs: placeholders, titles, company forms, free-mail, role mailboxes, streets."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"[\W_]")


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INITIALS = frozenset(["k.a.", "k. a.", "n.r.", "n.c.", "s/d", "s/n", "s.n."])  # placeholders that are initials in other punctuation

PLACEHOLDERS = frozenset([
    "unknown", "unkown", "none", "null", "nil", "na", "n/a", "n.a.", "nan", "test", "tester", "testing", "dummy", "sample", "example",
    "anonymous", "anon", "noname", "tbd", "tba", "todo", "xxx", "xxxx", "asdf", "qwerty", "undefined", "unbekannt", "inconnu", "keine",
    "-", "--", ".", "?", "0", "00", "000", "0000", "00000", "123456", "999999", "notprovided", "not_provided", "unspecified",
    "n.v.t.", "bez", *_INITIALS,
]) | {"not provided", "not known", "not available", "no name", "first name", "last name", "to be determined", "not applicable"}  # fmt: skip
# What says nothing in whatever punctuation, without which each is one word.
BARE_PLACEHOLDERS = _listed(
    """
    nodata noinfo noinformation notknown notavailable notprovided notapplicable notgiven notset notspecified notstated notlisted
    unnamed
    nn tbc blank empty missing firstname lastname yourname testtest testuser testaccount donotuse nonamegiven namenotgiven notentered
    desconocido desconocida sinnombre sindatos noaplica nodisponible noconsta ninguno ninguna desconhecido desconhecida seminformacao
    naoinformado naoinformada naodisponivel naoaplicavel inconnue nonrenseigne nonrenseignee noncommunique sansnom pasrenseigne
    sconosciuto sconosciuta nondisponibile nessuno unbekannte keineangabe keineangaben ohneangabe nichtbekannt nichtangegeben
    ohnenamen
    onbekend nietbekend geen okand okant ukjent ukendt ikkeoppgitt ikkeoplyst tuntematon eitietoa nieznany nieznana niepodano brak
    brakdanych neznamy neznama neuvedeno neuvedene nezadano ismeretlen nincs nincsadat necunoscut necunoscuta nepoznato nepoznat
    bilinmiyor bilinmeyen belirtilmemis neizvestno neizvesten neizvestna netdannykh neukazano nevidomo agnosto agnostos 不明 不详 不詳
    未知 未入力
    未設定 匿名 无 無 なし 없음 미상 غيرمعروف مجهول לאידוע نامشخص
    """
) | {bare for word in PLACEHOLDERS if len(bare := _PUNCTUATION.sub("", word)) > 1 and word not in _INITIALS}

# First three letters of the months' names in English, German, French, Spanish, Portuguese, Italian, Dutch and Scandinavian languages,
# accents dropped; longer where three do not tell.
MONTHS = {
    name: f"{number:02}"
    for number, names in enumerate(
        (
            "jan ene gen", "feb fev", "mar mrt maa", "apr avr abr", "may mai mag mei maj", "jun giu juin", "jul lug juillet",
            "aug aou ago", "sep set", "oct okt ott out", "nov", "dec dez dic des",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip

# First days of calendars (Excel's serial 0 and 1, its day before, SQL Server's, Unix', .NET's) and what is typed where a date must be.
PLACEHOLDER_DATES = frozenset({
    "19000101", "19000100", "19000001", "18991229", "18991230", "18991231", "19010101", "17530101", "19040101", "16010101", "19700101",
    "19691231", "11111111", "12121212", "20000101",
})  # fmt: skip
PLACEHOLDER_MAILS = frozenset([
    "test@test.com", "test@example.com", "a@a.com", "a@b.com", "none@none.com", "no@email.com", "noemail@noemail.com", "na@na.com",
    "unknown@unknown.com", "example@example.com", "email@email.com", "user@example.com", "admin@example.com", "noreply@example.com",
    "mail@mail.com", "xxx@xxx.com",
])  # fmt: skip
# Mailboxes of nobody, at whatever host; a space is a dot, dash, underscore or nothing.
NO_MAILBOXES = (
    *sorted(PLACEHOLDERS), "no e mail", "no email", "no mail", "no mail address", "no email address",
    "not given", "not provided", "not available", "does not have", "doesnt have", "dont have", "no one", "nobody", "nowhere", "nomail",
    "sin email", "sin mail", "sin correo", "no tiene", "no tiene correo", "ninguno", "sem email", "sem e mail", "nao tem", "nao possui",
    "pas de mail", "pas d email", "sans mail", "sans email", "aucun", "keine", "kein", "keine email", "keine e mail", "keine mail",
    "kein email", "ohne email", "ohne mail", "senza email", "nessuna", "geen", "geen email", "geen mail", "brak", "brak maila",
    "brak emaila", "ingen", "ingen mail", "ingen epost", "ei ole", "nema", "nema emaila", "nincs", "yok", "net pochty",
)  # fmt: skip
PLACEHOLDER_HOSTS = frozenset(
    ["example.com", "example.org", "test.com", "none.com", "domain.com", "website.com", "localhost", "facebook.com", "linkedin.com"]
)

TITLES = frozenset([
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lord", "lady", "rev", "reverend", "fr", "hon", "capt",
    "captain", "col", "major", "sgt", "herr", "frau", "mme", "mlle", "dipl", "ing", "phd", "md", "esq", "jr", "sr", "ii", "iii", "iv",
])  # fmt: skip
PARTICLES = frozenset([
    "de", "da", "di", "do", "du", "del", "della", "der", "den", "des", "la", "le", "van", "von", "zu", "zum", "zur", "of", "the", "y",
    "e", "bin", "ibn", "al", "el", "abu", "bint", "dos", "das", "dal", "dalla", "degli", "dei", "delle", "las", "vom", "ter", "ten", "af",
    "av",
])  # fmt: skip

FREE_MAIL = frozenset([
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "hotmail.com", "hotmail.co.uk", "outlook.com", "live.com", "msn.com",
    "aol.com", "icloud.com", "me.com", "mac.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "t-online.de", "freenet.de", "mail.com",
    "mail.ru", "yandex.ru", "proton.me", "protonmail.com", "orange.fr", "free.fr", "laposte.net", "libero.it", "btinternet.com",
    "sky.com", "comcast.net", "verizon.net", "att.net", "sbcglobal.net", "qq.com", "163.com", "zoho.com", "fastmail.com", "posteo.de",
])  # fmt: skip
# What a mailbox is called that belongs to a function; without accents, dots and dashes. English and computers', then by language.
ROLE_MAILBOXES = _listed(
    """
    info information office contact contacts contactus hello hi mail email post admin administrator administration sales support
    service
    services team hr jobs job careers career billing accounts account accounting accountspayable accountsreceivable invoice invoices
    invoicing payments payable payroll marketing press media help helpdesk webmaster postmaster hostmaster abuse noreply donotreply
    noreplies
    root system it sysadmin security reception enquiries enquiry inquiries inquiry customerservice customercare customersupport orders
    order
    purchasing purchase procurement finance legal privacy newsletter news secretary recruitment recruiting feedback bookings booking
    reservations events warehouse shipping logistics dispatch returns complaints quality compliance operations management manager
    director
    general main shop store web website partners partner export import dpo gdpr studio clinic frontdesk school parish library everyone
    all
    kontakt buero buro geschaftsleitung geschaftsfuhrung sekretariat verwaltung buchhaltung rechnung rechnungen rechnungswesen faktura
    vertrieb verkauf einkauf bestellung
    bestellungen auftrag personal personalabteilung bewerbung bewerbungen karriere kundenservice kundendienst kundenbetreuung zentrale
    empfang anfrage anfragen leitung geschaeftsleitung geschaeftsfuehrung datenschutz presse technik lager versand werkstatt praxis
    kanzlei
    poststelle mahnung mahnwesen steuer finanzen redaktion gemeinde rathaus verein vorstand anmeldung termin reservierung
    accueil bonjour compta comptabilite facture factures facturation achats achat commandes commande commercial ventes vente direction
    administratif secretariat recrutement emploi rh juridique communication presse contactez serviceclient serviceclients sav
    livraison
    logistique mairie gestion paie ressourceshumaines bureau reservation
    informacion informes contacto hola ventas venta compras compra contabilidad facturacion facturas factura cobranzas cobros pagos
    administracion direccion gerencia recepcion secretaria atencion atencionalcliente clientes pedidos pedido rrhh recursoshumanos
    empleo
    prensa comercial soporte ayuda consultas reservas oficina tesoreria nominas almacen legales sistemas
    contato contacto vendas comercial financeiro contabilidade faturamento faturacao faturas fatura cobranca compras administracao
    atendimento sac recepcao diretoria direcao gerencia rh recursoshumanos vagas suporte ajuda imprensa secretaria pedidos escritorio
    geral
    ouvidoria juridico fiscal tesouraria encomendas clientes
    informazioni contatti ufficio segreteria amministrazione contabilita fatture fatturazione fattura vendite acquisti ordini
    commerciale
    direzione personale risorseumane lavoraconnoi assistenza clienti servizioclienti supporto stampa prenotazioni magazzino spedizioni
    logistica legale protocollo comune pec posta
    kantoor administratie boekhouding facturen factuur facturatie debiteuren crediteuren verkoop inkoop bestellingen klantenservice
    receptie personeelszaken vacatures secretariaat directie magazijn planning vragen pers
    kontor ekonomi faktura fakturor bokforing order kundtjanst kundservice forsaljning salj inkop reception personal jobb regnskap
    bogholderi bogholderiet kundeservice salg indkob innkjop okonomi ordre postmottak firmapost fakturamottak ledelse
    toimisto myynti laskut laskutus asiakaspalvelu hallinto kirjaamo tilaukset osto rekry tiedotus talous
    biuro administracja sekretariat ksiegowosc faktury sprzedaz handlowy zamowienia obsluga obslugaklienta kadry rekrutacja praca
    zarzad marketing
    serwis reklamacje zakupy magazyn kancelaria poczta recepcja
    kancelar podatelna ucetni uctarna fakturace obchod prodej nakup objednavky zakaznik zakaznickyservis personalni reditel vedeni
    podpora
    predaj uctovnictvo objednavka obec
    iroda titkarsag penzugy konyveles szamla szamlazas ertekesites rendeles rendelesek beszerzes ugyfelszolgalat allas karrier vezetes
    contabilitate facturi vanzari achizitii comenzi secretariat birou resurseumane relatiiclienti suport
    ured uprava prodaja nabava nabavka racunovodstvo knjigovodstvo racuni kontakt pisarna tajnistvo narocila podrska podpora kadrovska
    ofis bilgi iletisim muhasebe fatura satis satinalma destek musterihizmetleri insankaynaklari muduriyet siparis yonetim
    buhgalteria buhgalter buhgalteriya bukhgalteriya buh zakaz zakazy prodazhi sklad kadry priemnaya sekretar otdelprodazh reklama
    podderzhka
    zakupki pochta ofis buhgalterija raamatupidamine muuk gramatvediba birojs buhalterija pardavimai
    grammateia logistirio poliseis plirofories epikoinonia paraggelies
    kantor penjualan keuangan pemasaran layanan pelanggan tuyendung ketoan kinhdoanh lienhe hotro
    eigyo soumu keiri jinji somu saiyo toiawase hongbo
    """
)

COMPANY_FORMS = frozenset([
    "inc", "incorporated", "llc", "llp", "lp", "ltd", "limited", "plc", "corp", "corporation", "co", "company", "gmbh", "ag", "kg", "ohg",
    "ug", "mbh", "se", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "oy", "as", "aps", "pty", "pte", "kk", "holding", "holdings",
    "group", "intl", "international", "the", "and", "of", "for", "a", "an", "und", "et", "y",
])  # fmt: skip
ORGANIZATION_WORDS = {
    "ctr": "center", "centre": "center", "cntr": "center", "sch": "school", "schl": "school", "elem": "elementary", "univ": "university",
    "assn": "association", "assoc": "association", "soc": "society", "svc": "service", "svcs": "services", "dept": "department",
    "intl": "international", "natl": "national", "mfg": "manufacturing", "tech": "technology", "technologies": "technology",
    "bros": "brothers",
    "hosp": "hospital", "comm": "community", "com": "community", "dev": "development", "mgmt": "management", "st": "saint", "mt": "mount",
    "ft": "fort", "acad": "academy", "inst": "institute", "fdn": "foundation", "govt": "government", "learn": "learning",
}  # fmt: skip

STREET_WORDS = {
    "street": "st", "str": "st", "strasse": "st", "straße": "st", "avenue": "av", "ave": "av", "road": "rd", "drive": "dr", "lane": "ln",
    "boulevard": "bl", "blvd": "bl", "court": "ct", "place": "pl", "square": "sq", "parkway": "py", "pkwy": "py",
    "highway": "hy", "hwy": "hy",
    "terrace": "tr", "north": "n", "south": "s", "east": "e", "west": "w", "suite": "ste", "apartment": "apt", "saint": "st",
    "martin": "martin", "doctor": "dr", "close": "cl", "gardens": "gdns", "crescent": "cr",
}  # fmt: skip
STREET_FILLERS = frozenset([
    "st", "av", "rd", "dr", "ln", "bl", "ct", "pl", "sq", "py", "hy", "tr", "n", "s", "e", "w", "ne", "nw", "se", "sw", "ste", "apt",
    "cl", "gdns", "cr", "floor", "fl", "unit", "rue", "via", "calle",
])  # fmt: skip
