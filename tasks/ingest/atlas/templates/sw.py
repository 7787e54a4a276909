"""Swahili sentences of atlas."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "Fedha huko {a}",
        "tongues": "Lugha za {a}",
        "calendar": "Saa na kalenda huko {a}",
        "travel": "Kumbukumbu za safari: {a}",
        "advice": "Kabla ya kusafiri kwenda {a}",
        "facts": "{a} kwa ufupi",
        "pair": "{a} na {b}",
    },
    statements={
        "currency": (
            "Sarafu rasmi ya {a} ni {b}.",
            "Bei za bidhaa huko {a} huandikwa kwa {b}.",
            "Msafiri anayebadilisha noti anapofika {a} hupewa {b}.",
            "Mishahara na kodi huko {a} hutolewa kwa {b}.",
        ),
        "users": (
            "{a} ni sarafu halali katika {b}.",
            "Pochi na sanduku za maduka hujaa {a} katika sehemu hizi: {b}.",
            "Noti za {a} huzunguka katika {b}.",
        ),
        "official": (
            "Lugha yenye hadhi rasmi huko {a}: {b}.",
            "Matangazo ya umma na hukumu za mahakama huko {a} huandikwa kwa {b}.",
            "Watumishi wa umma wa {a} hujaza fomu kwa {b}.",
        ),
        "speakers": (
            "{a} kina hadhi rasmi katika {b}.",
            "Ofisi za umma hujibu barua kwa {a} katika sehemu hizi: {b}.",
        ),
        "code": (
            "Katika kiwango cha ISO 4217, {a} huandikwa {b}.",
            "Kwenye mbao za maduka ya kubadilisha noti, {a} huonekana kama {b}.",
            "Hawala za {a} hubeba alama {b}.",
        ),
        "region": (
            "{a} ni sehemu ya {b}.",
            "Vitabu vya ramani huorodhesha {a} chini ya {b}.",
            "Wanajiografia huhesabu {a} ndani ya {b}.",
        ),
        "members": (
            "{a} hujumuisha, miongoni mwa nyingine, {b}.",
            "Mataifa na visiwa kadhaa huunda {a}, kwa mfano {b}.",
        ),
        "weekend": (
            "Wikendi huko {a} ni {b}.",
            "Ofisi nyingi za {a} hufungwa {b}.",
            "Familia za {a} hupumzika pamoja {b}.",
        ),
        "week_start": (
            "Kalenda zilizochapishwa huko {a} huanza kila mstari na {b}.",
            "Huko {a} shajara huhesabu kuanzia {b}.",
            "Siku saba hupewa namba kuanzia {b} huko {a}.",
        ),
        "zone": (
            "Saa za ukutani za {a} huenda sambamba na {b}.",
            "Adhuhuri ikifika katika mji wa {b}, ni adhuhuri pia huko {a}.",
            "Ratiba za treni na ndege za {a} hufuata saa za {b}.",
        ),
        "script": (
            "{a} huandikwa kwa hati ya {b}.",
            "Magazeti ya {a} huchapishwa kwa maandishi ya {b}.",
        ),
        "written": (
            "Hati ya {a} hutumika, miongoni mwa nyingine, kwa {b}.",
            "Anayejua maandishi ya {a} anaweza kusoma herufi za {b}.",
        ),
        "minority": ("Takriban asilimia {n} ya wakazi wa {a} hujua {b}, ingawa hakina hadhi rasmi.",),
    },
    questions={
        "currency": (
            "Watu hulipa kwa kutumia nini huko {a}?",
            "Ninahitaji pesa gani nikienda {a}?",
            "Fedha ya taifa la {a} inaitwaje?",
        ),
        "users": (
            "Ni nchi gani ninaweza kulipa kwa {a}?",
            "Ni wapi {a} ni fedha ya taifa?",
            "Nchi ipi hutumia pesa iitwayo {a}?",
        ),
        "official": (
            "Lugha ya taifa ya {a} ni ipi?",
            "Serikali ya {a} hutumia lugha gani?",
            "{a} huongozwa kwa lugha gani?",
        ),
        "speakers": (
            "Ni nchi gani {a} ni lugha ya taifa?",
            "Ni wapi serikali hufanya kazi kwa {a}?",
            "Ni eneo lipi huongozwa kwa {a}?",
        ),
        "code": (
            "Msimbo wa herufi tatu wa {a} ni upi?",
            "Benki hufupisha vipi {a}?",
            "Ni herufi zipi huwakilisha {a} katika soko la fedha za kigeni?",
        ),
        "region": (
            "{a} iko upande gani wa dunia?",
            "{a} inapatikana wapi?",
            "{a} iko katika ukanda gani?",
        ),
        "weekend": (
            "Ni siku gani watu hawafanyi kazi huko {a}?",
            "Wafanyakazi wa {a} hupata lini mapumziko ya kila juma?",
            "Siku zisizo za kazi huko {a} ni zipi?",
        ),
        "week_start": (
            "Siku ya kwanza ya juma huko {a} ni ipi?",
            "Juma jipya huanza siku gani huko {a}?",
            "Ni siku gani hutangulia katika juma huko {a}?",
        ),
        "zone": (
            "Muda wa jiji gani hutumika huko {a}?",
            "{a} iko katika ukanda gani wa saa?",
            "Watu wa {a} hurekebisha saa zao kwa jiji gani?",
        ),
        "script": (
            "{a} hutumia alfabeti gani?",
            "{a} hutumia herufi za aina gani?",
            "Ni mfumo gani wa uandishi unahitajika ili kusoma {a}?",
        ),
    },
    asides={
        "money": (
            "Watu wengi hulipa kwa kadi huko {a}, lakini ni vizuri kubeba pesa kidogo.",
            "Linganisha viwango kabla ya kununua fedha za safari ya {a}.",
            "Benki kuu ya {a} hufuatilia bei sokoni.",
        ),
        "tongues": (
            "Shule za {a} hufundisha zaidi ya lugha moja ya kigeni.",
            "Ni adabu kujifunza maneno machache ya salamu kabla ya kutembelea {a}.",
            "Wataalamu hukusanya lahaja na methali za {a}.",
        ),
        "calendar": (
            "Maduka ya {a} hufunguliwa kwa saa tofauti kulingana na msimu.",
            "Siku za sikukuu huko {a} kazi ni chache na muziki ni mwingi.",
            "Uliza basi la mwisho la siku huondoka saa ngapi huko {a}.",
        ),
        "place": (
            "Mandhari ya {a} huvutia wapiga picha kutoka duniani kote.",
            "Ramani nzuri ya {a} huuzwa kwenye uwanja wa ndege.",
            "Ofisi ya takwimu ya {a} huchapisha kitabu kikubwa kila mwaka.",
        ),
        "coin": (
            "Wakusanyaji wa pesa za kale hutafuta sarafu adimu za {a}.",
            "Thamani ya {a} hutangazwa kila siku kwenye habari.",
            "Waghushi wamejaribu zaidi ya mara moja kuiga noti za {a}.",
        ),
        "tongue": (
            "Kamusi nzuri za {a} hupatikana mtandaoni.",
            "Kujifunza {a} huhitaji subira na mwalimu mzuri.",
            "Nyimbo na hadithi za {a} hurithishwa kizazi hadi kizazi.",
        ),
    },
)
