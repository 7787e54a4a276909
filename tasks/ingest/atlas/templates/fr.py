"""French sentences of atlas; a territory stands before a colon, for CLDR's names come without their article."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "{a} : l’argent",
        "tongues": "{a} : les langues",
        "calendar": "{a} : heures et calendrier",
        "travel": "Carnet de voyage : {a}",
        "advice": "{a} : avant le départ",
        "facts": "{a} en bref",
        "pair": "{a} et {b}",
    },
    statements={
        "currency": (
            "{a} a pour devise officielle : {b}.",
            "{a} : les prix y sont affichés dans cette devise, {b}.",
            "{a} : au guichet de change, le voyageur y reçoit ces billets : {b}.",
            "{a} : les salaires et les impôts y sont réglés dans cette unité, {b}.",
        ),
        "users": (
            "{a} : cette devise a cours légal dans les lieux suivants : {b}.",
            "{a} : les porte-monnaie et les caisses en sont remplis dans ces endroits : {b}.",
            "{a} : ces billets circulent dans les lieux suivants : {b}.",
        ),
        "official": (
            "{a} : le statut officiel y revient à ceci : {b}.",
            "{a} : les avis publics et les jugements y sont rédigés en {b}.",
            "{a} : les fonctionnaires y remplissent leurs formulaires en {b}.",
        ),
        "speakers": (
            "{a} : statut officiel reconnu dans les lieux suivants : {b}.",
            "Les bureaux publics répondent au courrier en {a} dans ces endroits : {b}.",
        ),
        "code": (
            "Dans la norme ISO 4217, l’entrée « {a} » porte la mention {b}.",
            "Sur les panneaux de change, « {a} » apparaît sous la forme {b}.",
            "Les virements dans cette devise, {a}, portent la marque {b}.",
        ),
        "region": (
            "{a} appartient à l’ensemble suivant : {b}.",
            "Les atlas classent {a} sous la rubrique « {b} ».",
            "Pour les géographes, {a} relève de cet ensemble : {b}.",
        ),
        "members": (
            "{a} : cet ensemble comprend entre autres ces pays et îles : {b}.",
            "{a} : plusieurs États et îles en font partie, par exemple : {b}.",
        ),
        "weekend": (
            "{a} : le week-end y comprend {b}.",
            "{a} : la plupart des bureaux y ferment {b}.",
            "{a} : les familles s’y reposent ensemble {b}.",
        ),
        "week_start": (
            "{a} : les almanachs imprimés y ouvrent chaque ligne par le {b}.",
            "{a} : les agendas y comptent à partir du {b}.",
            "{a} : les sept journées y sont numérotées à partir du {b}.",
        ),
        "zone": (
            "{a} : les horloges y battent au même rythme qu’à {b}.",
            "{a} : quand midi sonne à {b}, il y est midi aussi.",
            "{a} : trains et avions y suivent l’heure de cette ville, {b}.",
        ),
        "script": (
            "{a} : l’écriture de cette langue est de ce type, {b}.",
            "Les journaux en {a} sont imprimés avec ces caractères : {b}.",
        ),
        "written": (
            "Caractères de type « {a} », employés entre autres pour : {b}.",
            "Qui connaît les caractères « {a} » peut épeler : {b}.",
        ),
        "minority": ("{a} : environ {n} pour cent des habitants connaissent une langue sans statut officiel, {b}.",),
    },
    questions={
        "currency": (
            "{a} : avec quoi paie-t-on ?",
            "Quel argent faut-il pour aller dans ce pays : {a} ?",
            "Quelle est la monnaie nationale, {a} ?",
        ),
        "users": (
            "Dans quel pays peut-on payer avec cette monnaie : {a} ?",
            "Où cette monnaie est-elle la monnaie nationale : {a} ?",
            "Quel pays se sert de cet argent : {a} ?",
        ),
        "official": (
            "{a} : quelle est la langue de l’État ?",
            "Quelle langue parle le gouvernement : {a} ?",
            "{a} : en quelle langue travaille l’administration ?",
        ),
        "speakers": (
            "Dans quel pays la langue de l’État est-elle : {a} ?",
            "Où le gouvernement travaille-t-il en {a} ?",
            "Quel territoire est administré en {a} ?",
        ),
        "code": (
            "Quel est le code à trois lettres de cette monnaie : {a} ?",
            "Comment les banques abrègent-elles « {a} » ?",
            "Quel sigle désigne « {a} » sur le marché des changes ?",
        ),
        "region": (
            "{a} : où est-ce dans le monde ?",
            "Dans quelle partie du globe se trouve {a} ?",
            "Dans quelle grande région se situe {a} ?",
        ),
        "weekend": (
            "{a} : quels jours ne travaille-t-on pas ?",
            "{a} : quand les employés sont-ils en congé chaque semaine ?",
            "Quels sont les jours libres, {a} ?",
        ),
        "week_start": (
            "{a} : quel est le premier jour de la semaine ?",
            "Par quel jour commence la semaine, {a} ?",
            "{a} : quel jour débute une nouvelle semaine ?",
        ),
        "zone": (
            "{a} : l’heure locale de quelle ville s’applique ?",
            "Quel est le fuseau horaire, {a} ?",
            "{a} : sur quelle ville règle-t-on sa montre ?",
        ),
        "script": (
            "Quel alphabet utilise la langue suivante : {a} ?",
            "Avec quelles lettres écrit-on cette langue : {a} ?",
            "Quel système graphique faut-il apprendre pour lire en {a} ?",
        ),
    },
    asides={
        "money": (
            "{a} : beaucoup de gens paient par carte, mais il faut garder un peu d’argent.",
            "{a} : comparez les taux avant d’acheter de la monnaie pour ce voyage.",
            "{a} : la banque centrale surveille les prix.",
        ),
        "tongues": (
            "{a} : les écoles enseignent plus d’une langue étrangère.",
            "{a} : il est poli d’apprendre quelques mots de salutation avant la visite.",
            "{a} : des chercheurs recueillent les dialectes et les proverbes.",
        ),
        "calendar": (
            "{a} : les heures d’ouverture changent entre l’été et l’hiver.",
            "{a} : les jours de fête, on travaille peu et on danse beaucoup.",
            "{a} : demandez à quelle heure part le dernier bus du jour.",
        ),
        "place": (
            "{a} : les paysages attirent des photographes du monde entier.",
            "{a} : une bonne carte se vend à l’aéroport.",
            "{a} : l’office de statistique publie un gros annuaire.",
        ),
        "coin": (
            "{a} : les amateurs d’argent ancien cherchent des pièces rares.",
            "{a} : le cours de cette monnaie est chaque jour dans les nouvelles.",
            "{a} : des faussaires ont plus d’une fois imité les billets.",
        ),
        "tongue": (
            "{a} : on trouve en ligne de bons dictionnaires de cette langue.",
            "{a} : apprendre cette langue demande de la patience et un bon professeur.",
            "Les chansons et les contes en {a} passent d’une génération à l’autre.",
        ),
    },
)
