"""English sentences of atlas."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "Money in {a}",
        "tongues": "Languages of {a}",
        "calendar": "Time and calendar in {a}",
        "travel": "Travel notes: {a}",
        "advice": "Before you leave for {a}",
        "facts": "{a} at a glance",
        "pair": "{a} and {b}",
    },
    statements={
        "currency": (
            "The official currency of {a}: {b}.",
            "Price tags in {a} are marked in {b}.",
            "Anyone who changes cash on arrival in {a} is handed banknotes in {b}.",
            "Wages and taxes in {a} are settled in {b}.",
        ),
        "users": (
            "{a} is legal tender in {b}.",
            "Wallets and tills are full of cash in {a} here: {b}.",
            "Banknotes in {a} circulate in {b}.",
        ),
        "official": (
            "Official status in {a}: {b}.",
            "Public notices and court rulings in {a} appear in {b}.",
            "Civil servants in {a} fill in their forms in {b}.",
        ),
        "speakers": (
            "{a} enjoys official status in {b}.",
            "Public offices answer letters in {a} here: {b}.",
        ),
        "code": (
            "Under the standard ISO 4217 the entry for {a} reads {b}.",
            "On currency boards {a} shows up as {b}.",
            "Transfers in {a} carry the mark {b}.",
        ),
        "region": (
            "{a} belongs to {b}.",
            "Atlases list {a} under {b}.",
            "Geographers count {a} as part of {b}.",
        ),
        "members": (
            "{a} takes in, among others, {b}.",
            "Several states and islands make up {a}, such as {b}.",
        ),
        "weekend": (
            "The weekend in {a} falls on {b}.",
            "Most offices in {a} stay shut on {b}.",
            "Families in {a} relax together on {b}.",
        ),
        "week_start": (
            "Printed calendars in {a} open each row with {b}.",
            "In {a} diaries count the days from {b}.",
            "The seven days are numbered from {b} in {a}.",
        ),
        "zone": (
            "Clocks in {a} tick in step with {b}.",
            "When it strikes noon in the city of {b}, it is noon in {a}.",
            "Timetables in {a} follow the hour of {b}.",
        ),
        "script": (
            "{a} is written in the {b} script.",
            "Newspapers in {a} are set in {b} characters.",
        ),
        "written": (
            "The {a} script serves, among others, {b}.",
            "Readers who know {a} characters can spell out {b}.",
        ),
        "minority": ("About {n} percent of the inhabitants of {a} know {b}, although it has no official role.",),
    },
    questions={
        "currency": (
            "What do people pay with in {a}?",
            "Which money do I need in {a}?",
            "What is the monetary unit of {a}?",
        ),
        "users": (
            "In which country can I pay with {a}?",
            "Where is {a} the national money?",
            "Name a place where shops accept {a}.",
        ),
        "official": (
            "What is the state language of {a}?",
            "Which tongue does the government of {a} use?",
            "In what language is {a} administered?",
        ),
        "speakers": (
            "In which country is {a} a state language?",
            "Where does the government work in {a}?",
            "Name a territory administered in {a}.",
        ),
        "code": (
            "What is the three-letter code for {a}?",
            "How do banks abbreviate {a}?",
            "Which letters stand for {a} in foreign exchange?",
        ),
        "region": (
            "Where in the world is {a}?",
            "In which part of the globe does {a} lie?",
            "What larger area is {a} located in?",
        ),
        "weekend": (
            "Which days are free of work in {a}?",
            "When do employees in {a} have their days off?",
            "On what days does nobody go to work in {a}?",
        ),
        "week_start": (
            "What is the first day of the week in {a}?",
            "On which day does a new week begin in {a}?",
            "Which weekday comes first in {a}?",
        ),
        "zone": (
            "Which city's local time applies in {a}?",
            "What time zone is {a} in?",
            "By which place are watches set in {a}?",
        ),
        "script": (
            "Which alphabet does {a} use?",
            "What writing system do you need for {a}?",
            "What kind of letters is {a} spelled with?",
        ),
    },
    asides={
        "money": (
            "Many people pay by card in {a}, yet it is wise to carry some money.",
            "Compare exchange rates before you buy money for {a}.",
            "The central bank of {a} keeps an eye on prices.",
        ),
        "tongues": (
            "Schools in {a} teach more than one foreign language.",
            "It is polite to learn a few words of greeting before visiting {a}.",
            "Scholars record the dialects and proverbs of {a}.",
        ),
        "calendar": (
            "Shops in {a} open at different times of the day in summer and in winter.",
            "On holidays there is little work and much music in {a}.",
            "Ask at what time the last bus of the day leaves in {a}.",
        ),
        "place": (
            "The scenery of {a} attracts photographers from all over the world.",
            "A good map of {a} is on sale at the airport.",
            "The statistical office of {a} publishes a thick yearbook.",
        ),
        "coin": (
            "Collectors of old money look for rare coins in {a}.",
            "The exchange rate of {a} is in the news every day.",
            "Forgers have more than once tried to copy banknotes in {a}.",
        ),
        "tongue": (
            "Good dictionaries of {a} are found online.",
            "Learning {a} takes patience and a good teacher.",
            "Songs and stories in {a} are handed down from one generation to the next.",
        ),
    },
    names={
        "AE": "the United Arab Emirates",
        "AX": "the Åland Islands",
        "BS": "the Bahamas",
        "CC": "the Cocos (Keeling) Islands",
        "CF": "the Central African Republic",
        "CK": "the Cook Islands",
        "DO": "the Dominican Republic",
        "FK": "the Falkland Islands",
        "FO": "the Faroe Islands",
        "GB": "the United Kingdom",
        "GM": "the Gambia",
        "KM": "the Comoros",
        "KY": "the Cayman Islands",
        "MH": "the Marshall Islands",
        "MP": "the Northern Mariana Islands",
        "MV": "the Maldives",
        "NL": "the Netherlands",
        "PH": "the Philippines",
        "PN": "the Pitcairn Islands",
        "PS": "the Palestinian Territories",
        "SB": "the Solomon Islands",
        "SC": "the Seychelles",
        "TC": "the Turks & Caicos Islands",
        "US": "the United States",
        "VA": "the Vatican City",
        "VG": "the British Virgin Islands",
        "VI": "the U.S. Virgin Islands",
    },
)
