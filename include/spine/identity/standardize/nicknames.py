"""Short and pet forms of forenames, without accents: which words are forms of one name.

The tables are the project's own and short: of the lists that could be found, those that are kept are English, the others are of unknown
licence. Forms that belong to several names are in several groups.
"""

from __future__ import annotations

_ENGLISH = (
    "alexander alex alec sandy lex xander", "alexandra alex sandra sandy lexi", "albert al bert bertie", "alfred al alf fred alfie",
    "andrew andy drew andreas", "anthony tony ant", "archibald archie", "arthur art artie", "benjamin ben benny benji", "bernard bernie",
    "barbara barb babs barbie", "catherine katherine kate katie kathy cathy kathryn katharine kitty cath",
    "charles charlie chuck chas carl",
    "charlotte lottie charlie", "christina christine chris tina chrissie christie", "christopher chris kit topher", "daniel dan danny",
    "david dave davy", "deborah debra deb debbie", "donald don donnie", "dorothy dot dottie dolly", "edmund ed eddie ned",
    "edward ed eddie ted ned teddy", "edwin ed eddie", "eleanor ellie nell nora",
    "elizabeth liz lizzie beth betty eliza elsie bess libby lisa",
    "emily em emmy", "ernest ernie", "eugene gene", "florence flo flossie", "frances fran fanny frankie", "francis frank fran frankie",
    "franklin frank", "frederick fred freddie freddy fritz", "gabriel gabe", "geoffrey geoff jeff", "george georgie",
    "gerald gerry jerry",
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
    "sydney syd sid", "teresa theresa terry tess", "terence terry", "theodore ted theo teddy", "thomas tom tommy thom",
    "timothy tim timmy",
    "tobias toby", "valerie val", "victor vic", "victoria vicky tori vickie", "vincent vince", "virginia ginny", "walter walt wally",
    "wilfred wilf fred", "william will bill billy willie willy liam wm", "zachary zach zack", "johannes hans john",
    "friedrich fritz fred",
)  # fmt: skip
_GERMAN_AND_DUTCH = (
    "alexander alex sascha", "andreas andi andy anderl", "anton toni", "benedikt bene", "bernhard bernd benno", "christian chris chrissi",
    "elisabeth lisa lisbeth elli sissi lieschen betti bettina", "ferdinand ferdi", "franz franzl", "friedrich fritz fiete",
    "georg schorsch jorg juergen jurgen",
    "gerhard gerd", "gertrud trude gerti", "gottfried gotz", "guenther gunther gunter guenter", "hans hannes johannes johann",
    "heinrich heinz heiner hinnerk",
    "hildegard hilde", "jakob jockel", "joachim jochen achim", "josef joseph sepp jupp seppl", "karl kalle carl",
    "katharina kathi katrin kathrin kaethe kathe",
    "klaus nikolaus claus niklas", "konrad kurt conrad", "leopold poldi", "ludwig lutz wiggerl", "magdalena lena leni magda",
    "margarete margarethe grete gretel greta gretchen margret",
    "maria marie mia mizzi", "matthias matze hias", "michael michi michel", "otto ottokar", "rudolf rudi", "sebastian basti wastl",
    "siegfried sigi", "stefan stephan steffen",
    "susanne susi", "theresa resi theresia", "thomas tom", "ulrich uli ulli", "ursula uschi ulla", "wilhelm willi willy wim",
    "wolfgang wolf wolfi", "cornelis kees cor",
    "hendrik henk rik", "jan johan johannes", "pieter piet peter", "gerrit gert gerard", "antonius toon ton anton",
    "theodorus theo dirk", "wilhelmina mina willemien",
)  # fmt: skip
_ROMANCE = (
    "francisco paco pancho curro quico kiko paquito", "francisca paca paquita", "jose pepe chepe pepito", "josefa pepa pepita",
    "maria marita maruja mari",
    "antonio tono toni", "manuel manolo manu lolo", "dolores lola loli", "concepcion concha conchita conchi", "mercedes merche",
    "rosario charo", "pilar pili",
    "guadalupe lupe lupita", "ignacio nacho", "eduardo edu lalo", "enrique quique kike", "jesus chus chuy suso",
    "guillermo guille memo", "alejandro ale jandro",
    "rafael rafa", "roberto beto", "alberto beto", "alfonso poncho fonso", "isabel isa chabela bel", "consuelo chelo",
    "remedios reme", "fernando nando fer",
    "luis lucho", "vicente chente", "gregorio goyo", "ernesto neto", "santiago santi chago", "joaquin quino", "juan juanito",
    "carlos carlitos", "miguel migue",
    "joao joaozinho", "jose ze zeca", "francisco chico", "antonio tonho toninho", "luiz lula", "eduardo dudu", "fernando nando",
    "roberto beto",
    "giuseppe beppe pino peppe peppino geppo", "giovanni gianni nanni vanni", "francesco franco cecco checco", "francesca franca",
    "luigi gigi gino", "domenico mimmo nico",
    "salvatore toto turi tore", "antonio tonino nino", "alessandro sandro ale", "alessandra sandra ale", "vincenzo enzo cenzo",
    "lorenzo enzo renzo",
    "margherita rita", "elisabetta betta lisa betty", "giacomo mino", "michele lele", "raffaele lele raffa", "caterina rina katia",
    "filippo pippo",
    "jean jeannot", "alexandre alex", "antoine toine tonio", "catherine cathy katy", "dominique domi",
    "elisabeth babette lise lisette", "francoise fanchon",
    "frederic fred", "genevieve ginette", "guillaume guigui", "jacques jacquot", "joseph jojo", "marguerite margot", "nicolas nico",
    "philippe phil", "stephane steph",
    "ion ionel ionut nelu", "gheorghe ghita gigi", "constantin costel costi dinu", "vasile sile", "maria maricica marioara",
    "elena lenuta nuti",
)  # fmt: skip
_SLAVIC = (
    "aleksandr aleksander alexander sasha sascha shura sanya", "aleksandra alexandra sasha shura olya ola",
    "aleksei alexei alexey aleksey alyosha lyosha alesha", "anatolii anatoly tolya",
    "anastasia anastasiya nastya stasia", "anna anya anechka nyura ania hania", "dmitrii dmitry dmitri dima mitya",
    "ekaterina yekaterina katya katia", "elena yelena lena alyona",
    "evgenii evgeny yevgeny zhenya", "evgeniia evgenia yevgenia zhenya", "fyodor fedor fedya", "galina galya",
    "georgii georgy gosha zhora", "grigorii grigory grisha",
    "ivan vanya vania", "konstantin kostya kostia", "larisa lara", "leonid lyonya", "ludmila lyudmila liudmila lyuda luda mila",
    "maria mariya masha marusya marysia maryna",
    "mikhail misha mihail mykhailo", "nadezhda nadia nadya", "natalia natalya nataliya natasha", "nikolai nikolay kolya mykola",
    "oleg olezhka", "olga olya olia", "pavel pasha pavlik pavlo",
    "piotr pyotr petr petya petro piotrek", "sergei sergey seryozha serhii", "sofia sofya sonya sonia", "stepan styopa",
    "svetlana sveta lana", "tatiana tatyana tanya tania",
    "valentin valya", "valentina valya", "vasilii vasily vasya vasyl", "viktor vitya victor", "viktoria viktoriya vika victoria",
    "vladimir volodya vova volodymyr vlad", "vladislav vlad slava",
    "viacheslav vyacheslav slava", "yaroslav slava", "yurii yury yuri yura", "yulia yuliya julia yulya", "zinaida zina",
    "jan janek jas", "jozef jozek jozka", "stanislaw stas staszek stach",
    "tadeusz tadek", "wladyslaw wladek", "zbigniew zbyszek", "andrzej jedrek", "kazimierz kazik", "krzysztof krzysiek krzys",
    "malgorzata gosia malgosia", "katarzyna kasia",
    "agnieszka aga agusia", "joanna asia joasia", "barbara basia", "elzbieta ela", "magdalena magda", "ewa ewka", "jakub kuba kubus",
    "tomasz tomek", "wojciech wojtek",
    "grzegorz grzesiek", "pawel pawelek", "josef pepa jozka", "jiri jirka", "frantisek franta", "vaclav vasek venca",
    "jaroslav jarda", "miroslav mirek", "zdenek zdenda", "jan honza",
    "karel kaja", "ladislav lada", "katerina katka", "alzbeta betka", "jovan jovo joca", "dragan gaga", "aleksandar sasa aca",
    "ivan ivo ivica", "marija mara marica",
)  # fmt: skip
_OTHERS = (
    "laszlo laci", "istvan pista isti", "jozsef jozsi", "janos jani jancsi", "ferenc feri", "sandor sanyi", "gyorgy gyuri",
    "miklos miki", "erzsebet erzsi bozsi", "katalin kati",
    "ilona ica ilus", "zoltan zoli", "gabor gabi", "johannes juha juhani jussi", "konstantinos kostas dinos",
    "dimitrios dimitris mitsos", "georgios giorgos", "ioannis giannis yannis",
    "nikolaos nikos", "panagiotis panos takis", "athanasios thanasis", "vasileios vasilis", "konstantina dina nantia",
    "aikaterini katerina", "mehmet memo", "mustafa musti", "ibrahim ibo",
    "lars lasse", "karl kalle", "erik erkki", "anders andreas", "magnus mans", "kristian krister", "margareta greta maggan",
    "gunnar gunni", "sigurdur siggi", "gudrun gunna",
)  # fmt: skip
NICKNAME_GROUPS = (*_ENGLISH, *_GERMAN_AND_DUTCH, *_ROMANCE, *_SLAVIC, *_OTHERS)


def _nicknames() -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, words in enumerate(NICKNAME_GROUPS):
        for word in words.split():
            groups.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


NICKNAMES = _nicknames()
