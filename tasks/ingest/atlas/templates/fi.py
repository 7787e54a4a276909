"""Finnish sentences of atlas; names stay in the nominative: after a colon or in apposition."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "{a}: raha",
        "tongues": "{a}: kielet",
        "calendar": "{a}: aika ja kalenteri",
        "travel": "Matkamuistiinpanoja: {a}",
        "advice": "{a}: ennen matkaa",
        "facts": "{a} lyhyesti",
        "pair": "{a} ja {b}",
    },
    statements={
        "currency": (
            "{a}: alueen virallinen valuutta on {b}.",
            "{a}: hintalapuissa lukee {b}.",
            "{a}: matkailija, joka vaihtaa käteistä perillä, saa setelit, joiden nimi on {b}.",
            "{a}: palkat ja verot suoritetaan näin: {b}.",
        ),
        "users": (
            "{a}: laillinen maksuväline seuraavilla alueilla: {b}.",
            "{a}: lompakot ja kassat ovat näitä seteleitä täynnä täällä: {b}.",
            "{a}: seteleitä on liikkeellä näillä seuduilla: {b}.",
        ),
        "official": (
            "{a}: virallisen aseman on saanut {b}.",
            "{a}: julkisten kuulutusten ja tuomioiden kielenä on {b}.",
            "{a}: virkamiesten lomakkeissa on käytössä {b}.",
        ),
        "speakers": (
            "{a} on virallisessa asemassa seuraavilla alueilla: {b}.",
            "{a} on virastojen kirjeenvaihdon kieli täällä: {b}.",
        ),
        "code": (
            "ISO 4217 -standardissa {a} on merkitty tunnuksella {b}.",
            "Valuuttataulussa {a} näkyy muodossa {b}.",
            "Tilisiirrossa {a} saa merkinnän {b}.",
        ),
        "region": (
            "{a} kuuluu alueeseen nimeltä {b}.",
            "Kartastoissa {a} on otsikon {b} alla.",
            "Maantieteilijöille {a} on osa kokonaisuutta, jonka nimi on {b}.",
        ),
        "members": (
            "{a} kattaa muun muassa nämä: {b}.",
            "{a} koostuu useista valtioista ja saarista, esimerkkeinä {b}.",
        ),
        "weekend": (
            "{a}: viikonloppuun kuuluvat päivät: {b}.",
            "{a}: useimmat toimistot ovat kiinni, kun on {b}.",
            "{a}: perheet rentoutuvat yhdessä, kun on {b}.",
        ),
        "week_start": (
            "{a}: painetuissa kalentereissa rivin alussa on {b}.",
            "{a}: almanakassa laskeminen lähtee liikkeelle, kun on {b}.",
            "{a}: seitsemästä päivästä numeron yksi saa {b}.",
        ),
        "zone": (
            "{a}: kellot käyvät samassa tahdissa kuin {b}.",
            "Kun {b} viettää keskipäivää, keskipäivä on myös täällä: {a}.",
            "{a}: junien ja lentojen aikataulujen vertailukohta on {b}.",
        ),
        "script": (
            "{a}: tämän kielen kirjaimisto on {b}.",
            "{a}: sanomalehtien painomerkit ovat tyyppiä {b}.",
        ),
        "written": (
            "Kirjaimisto {a} palvelee muun muassa näitä kieliä: {b}.",
            "Kirjaimiston {a} merkkien tuntija tavaa näitä kieliä: {b}.",
        ),
        "minority": ("{a}: noin {n} prosenttia asukkaista osaa kielen {b}, vaikka virallista asemaa ei ole.",),
    },
    questions={
        "currency": (
            "Millä rahalla maksetaan, kun kohteena on {a}?",
            "Mitä rahaa tarvitsen mukaan, kun matkan kohde on {a}?",
            "Mikä on tämän maan rahayksikkö: {a}?",
        ),
        "users": (
            "Missä maassa voin maksaa, kun rahana on {a}?",
            "Missä {a} on kansallinen raha?",
            "Minkä maan rahayksikkö on {a}?",
        ),
        "official": (
            "Mikä on valtion kieli tässä maassa: {a}?",
            "Mitä kieltä hallitus käyttää, kun maa on {a}?",
            "Millä kielellä hallitaan tätä maata: {a}?",
        ),
        "speakers": (
            "Missä maassa {a} on valtion kieli?",
            "Missä hallituksen käyttämä kieli on {a}?",
            "Minkä maan hallintokieli on {a}?",
        ),
        "code": (
            "Mikä on kolmikirjaiminen koodi rahalle {a}?",
            "Miten pankit lyhentävät rahan {a}?",
            "Mitkä kirjaimet vastaavat rahaa {a} valuuttamarkkinoilla?",
        ),
        "region": (
            "Missä päin maailmaa on {a}?",
            "Missä maapallon osassa {a} sijaitsee?",
            "Missä maailmankolkassa {a} on?",
        ),
        "weekend": (
            "Minä päivinä ei tehdä työtä, kun maa on {a}?",
            "Milloin työntekijöillä on vapaata tässä maassa: {a}?",
            "Mitkä ovat viikon vapaapäivät tässä maassa: {a}?",
        ),
        "week_start": (
            "Mikä on viikon ensimmäinen päivä tässä maassa: {a}?",
            "Minä päivänä alkaa uusi viikko, kun maa on {a}?",
            "Mistä päivästä viikko alkaa tässä maassa: {a}?",
        ),
        "zone": (
            "Minkä kaupungin paikallista aikaa noudatetaan tässä maassa: {a}?",
            "Mikä on aikavyöhyke, kun maa on {a}?",
            "Minkä kaupungin mukaan kello siirretään, kun perillä on {a}?",
        ),
        "script": (
            "Mitä aakkosia käytetään, kun kieli on {a}?",
            "Millaisin kirjaimin kirjoitetaan kieltä nimeltä {a}?",
            "Mikä kirjoitusjärjestelmä on opittava, jotta {a} aukeaa lukijalle?",
        ),
    },
    asides={
        "money": (
            "{a}: moni maksaa kortilla, mutta vähän rahaa kannattaa pitää mukana.",
            "{a}: vertaa kursseja ennen kuin ostat matkarahaa.",
            "{a}: maan keskuspankki seuraa hintoja.",
        ),
        "tongues": (
            "{a}: kouluissa opetetaan useampaa kuin yhtä vierasta kieltä.",
            "{a}: on kohteliasta opetella muutama tervehdyksen sana ennen vierailua.",
            "{a}: tutkijat keräävät murteita ja sananlaskuja.",
        ),
        "calendar": (
            "{a}: kauppojen aukioloajat vaihtuvat kesän ja talven mukaan.",
            "{a}: juhlapäivinä tehdään vähän työtä ja soitetaan paljon musiikkia.",
            "{a}: kysy, mihin aikaan päivän viimeinen bussi lähtee.",
        ),
        "place": (
            "{a}: maisemat houkuttelevat valokuvaajia kaikkialta maailmasta.",
            "{a}: hyvän kartan voi ostaa lentokentältä.",
            "{a}: maan tilastokeskus julkaisee paksun vuosikirjan.",
        ),
        "coin": (
            "{a}: vanhan rahan keräilijät etsivät harvinaisia kolikoita.",
            "{a}: vaihtokurssi on joka päivä uutisissa.",
            "{a}: väärentäjät ovat useammin kuin kerran jäljitelleet seteleitä.",
        ),
        "tongue": (
            "{a}: hyviä sanakirjoja löytyy verkosta.",
            "{a}: kielen oppiminen vaatii kärsivällisyyttä ja hyvän opettajan.",
            "{a}: laulut ja tarinat siirtyvät sukupolvelta toiselle.",
        ),
    },
)
