"""Word lists that standardisation needs: placeholders, titles, nicknames, company forms, free-mail, role mailboxes, streets."""

from __future__ import annotations

PLACEHOLDERS = frozenset([
    "unknown", "unkown", "none", "null", "nil", "na", "n/a", "n.a.", "nan", "test", "tester", "testing", "dummy", "sample", "example",
    "anonymous", "anon", "noname", "tbd", "tba", "todo", "xxx", "xxxx", "asdf", "qwerty", "undefined", "unbekannt", "inconnu", "keine",
    "-", "--", ".", "?", "0", "00", "000", "0000", "00000", "123456", "999999", "notprovided", "not_provided", "unspecified",
]) | {"not provided", "not known", "not available", "no name", "first name", "last name", "to be determined", "not applicable"}  # fmt: skip

# First three letters of the months' English, German, French, Spanish and Italian names, accents dropped; longer where three do not tell.
MONTHS = {
    name: f"{number:02}"
    for number, names in enumerate(
        (
            "jan ene gen", "feb fev", "mar", "apr avr abr", "may mai mag", "jun giu juin", "jul lug juillet",
            "aug aou ago", "sep set", "oct okt ott", "nov", "dec dez dic",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip

PLACEHOLDER_DATES = frozenset({"19000101", "18991230", "18991231", "19700101", "00010101", "11111111", "99991231", "20000101"})
PLACEHOLDER_MAILS = frozenset([
    "test@test.com", "test@example.com", "a@a.com", "a@b.com", "none@none.com", "no@email.com", "noemail@noemail.com", "na@na.com",
    "unknown@unknown.com", "example@example.com", "email@email.com", "user@example.com", "admin@example.com", "noreply@example.com",
    "mail@mail.com", "xxx@xxx.com",
])  # fmt: skip
PLACEHOLDER_HOSTS = frozenset(
    ["example.com", "example.org", "test.com", "none.com", "domain.com", "website.com", "localhost", "facebook.com", "linkedin.com"]
)

TITLES = frozenset([
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lord", "lady", "rev", "reverend", "fr", "hon", "capt",
    "captain", "col", "major", "sgt", "herr", "frau", "mme", "mlle", "dipl", "ing", "phd", "md", "esq", "jr", "sr", "ii", "iii", "iv",
])  # fmt: skip
PARTICLES = frozenset([
    "de", "da", "di", "do", "du", "del", "della", "der", "den", "des", "la", "le", "van", "von", "zu", "zum", "zur", "of", "the", "y",
    "e", "bin", "ibn", "al", "el",
])  # fmt: skip

FREE_MAIL = frozenset([
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "hotmail.com", "hotmail.co.uk", "outlook.com", "live.com", "msn.com",
    "aol.com", "icloud.com", "me.com", "mac.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "t-online.de", "freenet.de", "mail.com",
    "mail.ru", "yandex.ru", "proton.me", "protonmail.com", "orange.fr", "free.fr", "laposte.net", "libero.it", "btinternet.com",
    "sky.com", "comcast.net", "verizon.net", "att.net", "sbcglobal.net", "qq.com", "163.com", "zoho.com", "fastmail.com", "posteo.de",
])  # fmt: skip
ROLE_MAILBOXES = frozenset([
    "info", "office", "contact", "contacts", "hello", "mail", "admin", "administrator", "sales", "support", "service", "services", "team",
    "hr", "jobs", "careers", "billing", "accounts", "accounting", "invoice", "invoices", "marketing", "press", "media", "help",
    "helpdesk", "webmaster", "postmaster", "noreply", "no-reply", "reception", "enquiries", "inquiries", "kontakt", "customerservice",
    "orders", "purchasing", "procurement", "finance", "legal", "privacy", "security", "newsletter", "secretary",
])  # fmt: skip

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

NICKNAME_GROUPS = (
    "alexander alex alec sandy lex xander", "alexandra alex sandra sandy lexi", "albert al bert bertie", "alfred al alf fred alfie",
    "andrew andy drew andreas", "anthony tony ant", "archibald archie", "arthur art artie", "benjamin ben benny benji", "bernard bernie",
    "barbara barb babs barbie", "catherine katherine kate katie kathy cathy kathryn katharine kitty cath",
    "charles charlie chuck chas carl",
    "charlotte lottie charlie", "christina christine chris tina chrissie christie", "christopher chris kit topher", "daniel dan danny",
    "david dave davy", "deborah debra deb debbie", "donald don donnie", "dorothy dot dottie dolly", "edmund ed eddie ned",
    "edward ed eddie ted ned teddy", "edwin ed eddie", "eleanor ellie nell nora",
    "elizabeth liz lizzie beth betty eliza elsie bess libby lisa",
    "emily em emmy", "ernest ernie", "eugene gene", "florence flo flossie", "frances fran fanny frankie", "francis frank fran frankie",
    "franklin frank", "frederick fred freddie freddy fritz", "gabriel gabe", "geoffrey geoff jeff", "george georgie", "gerald gerry jerry",
    "gilbert gil bert", "gregory greg", "gwendolyn gwen", "harold harry hal", "helen nell nellie", "henry harry hank hal",
    "herbert bert herb",
    "hugh hughie huw", "isabella isabel bella izzy isabelle", "jacob jake", "jacqueline jackie", "james jim jimmy jamie jem", "janet jan",
    "jane jenny janie", "jeffrey jeff", "jennifer jen jenny jenna", "jessica jess jessie", "john jack johnny jon johann ian sean",
    "jonathan jon jonny", "joseph joe joey jo", "josephine jo josie", "joshua josh", "judith judy", "julia julie", "kenneth ken kenny",
    "lawrence larry laurie", "leonard len lenny leo", "leslie les", "lewis lew louis", "louis lou louie", "louise lou", "lucille lucy",
    "margaret maggie meg peggy marge greta rita margie", "martin marty", "mary molly polly mae maria marie", "matilda tilly mattie",
    "matthew matt", "maximilian max", "michael mike mick mickey micky", "michelle shelly", "mildred millie", "nancy nan ann",
    "nathaniel nathan nat nate", "nicholas nick nicky nicolas", "nicole nicky", "oliver ollie", "pamela pam",
    "patricia pat patty tricia trish",
    "patrick pat paddy", "penelope penny", "peter pete pietro", "philip phil phillip", "raymond ray", "rebecca becky becca",
    "reginald reg reggie", "richard rick dick rich ricky dickie", "robert bob rob bobby robbie bert", "roderick rod roddy", "roger rodge",
    "ronald ron ronnie", "rosemary rose rosie", "rudolph rudy", "russell russ", "samuel sam sammy", "samantha sam", "sarah sally sadie",
    "sebastian seb", "stanley stan", "stephen steve steven stevie stephan", "stephanie steph", "stuart stu",
    "susan sue suzie susanna suzanne",
    "sydney syd sid", "teresa theresa terry tess", "terence terry", "theodore ted theo teddy", "thomas tom tommy thom", "timothy tim timmy",
    "tobias toby", "valerie val", "victor vic", "victoria vicky tori vickie", "vincent vince", "virginia ginny", "walter walt wally",
    "wilfred wilf fred", "william will bill billy willie willy liam wm", "zachary zach zack", "johannes hans john", "friedrich fritz fred",
)  # fmt: skip


def _nicknames() -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, words in enumerate(NICKNAME_GROUPS):
        for word in words.split():
            groups.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


NICKNAMES = _nicknames()
