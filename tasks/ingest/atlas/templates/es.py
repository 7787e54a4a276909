"""Spanish sentences of atlas."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "El dinero en {a}",
        "tongues": "Idiomas de {a}",
        "calendar": "Horario y calendario de {a}",
        "travel": "Notas de viaje: {a}",
        "advice": "Antes de viajar a {a}",
        "facts": "{a} en breve",
        "pair": "{a} / {b}",
    },
    statements={
        "currency": (
            "Divisa oficial de {a}: {b}.",
            "En {a} los precios se marcan en {b}.",
            "Al cambiar efectivo en el aeropuerto de {a}, el viajero recibe esta divisa: {b}.",
            "Los sueldos y los impuestos de {a} se liquidan en {b}.",
        ),
        "users": (
            "Esta divisa, {a}, es de curso legal en {b}.",
            "Las carteras y las cajas registradoras guardan {a} en estos lugares: {b}.",
            "Los billetes de esta unidad ({a}) circulan en {b}.",
        ),
        "official": (
            "Rango oficial en {a}: {b}.",
            "Los avisos públicos y las sentencias de {a} se redactan en {b}.",
            "En {a} los funcionarios rellenan sus formularios en {b}.",
        ),
        "speakers": (
            "{a}: goza de rango oficial en {b}.",
            "Las oficinas públicas contestan cartas en {a} en estos lugares: {b}.",
        ),
        "code": (
            "En la norma ISO 4217 la entrada de {a} es {b}.",
            "En los paneles de las casas de cambio, {a} aparece como {b}.",
            "Las transferencias en {a} llevan la marca {b}.",
        ),
        "region": (
            "{a} pertenece a la siguiente región: {b}.",
            "Los atlas clasifican {a} bajo este epígrafe: {b}.",
            "Para los geógrafos, {a} forma parte de {b}.",
        ),
        "members": (
            "{a}: esta región abarca, entre otros, {b}.",
            "Varios estados e islas componen {a}, por ejemplo {b}.",
        ),
        "weekend": (
            "El fin de semana de {a}: {b}.",
            "La mayoría de las oficinas de {a} cierran estos días: {b}.",
            "En {a} las familias descansan juntas estos días: {b}.",
        ),
        "week_start": (
            "Los almanaques impresos de {a} abren cada fila con el {b}.",
            "En {a} las agendas cuentan desde el {b}.",
            "Las siete jornadas se numeran en {a} a partir del {b}.",
        ),
        "zone": (
            "Los relojes de {a} marchan al compás de {b}.",
            "Cuando es mediodía en la ciudad de {b}, también lo es en {a}.",
            "Los horarios de trenes y aviones de {a} siguen la hora de {b}.",
        ),
        "script": (
            "La escritura de este idioma, {a}: {b}.",
            "Los periódicos en {a} se imprimen con estos caracteres: {b}.",
        ),
        "written": (
            "Entre las lenguas que recurren a la escritura «{a}» están estas: {b}.",
            "Quien conoce los caracteres de tipo {a} puede deletrear {b}.",
        ),
        "minority": ("Cerca del {n} por ciento de los habitantes de {a} sabe {b}, aunque sin rango oficial.",),
    },
    questions={
        "currency": (
            "¿Con qué se paga en {a}?",
            "¿Qué dinero necesito en {a}?",
            "¿Cuál es la moneda nacional de {a}?",
        ),
        "users": (
            "¿En qué país puedo pagar con esta moneda: {a}?",
            "¿Dónde es moneda nacional la siguiente: {a}?",
            "¿Qué país usa como dinero {a}?",
        ),
        "official": (
            "¿Cuál es la lengua del Estado en {a}?",
            "¿Qué idioma usa el gobierno de {a}?",
            "¿En qué lengua se administra {a}?",
        ),
        "speakers": (
            "¿En qué país la lengua del Estado es {a}?",
            "¿Dónde trabaja el gobierno en {a}?",
            "¿Qué territorio se administra en {a}?",
        ),
        "code": (
            "¿Cuál es el código de tres letras de {a}?",
            "¿Cómo abrevian los bancos {a}?",
            "¿Qué siglas tiene {a} en el mercado de divisas?",
        ),
        "region": (
            "¿En qué parte del mundo está {a}?",
            "¿Dónde se encuentra {a}?",
            "¿En qué zona del planeta se sitúa {a}?",
        ),
        "weekend": (
            "¿Qué días no se trabaja en {a}?",
            "¿Cuándo libran los empleados en {a}?",
            "¿Cuáles son los días libres en {a}?",
        ),
        "week_start": (
            "¿Cuál es el primer día de la semana en {a}?",
            "¿En qué día empieza la semana en {a}?",
            "¿Por qué día comienza una nueva semana en {a}?",
        ),
        "zone": (
            "¿La hora local de qué ciudad rige en {a}?",
            "¿Qué huso horario tiene {a}?",
            "¿Por qué ciudad se pone el reloj en {a}?",
        ),
        "script": (
            "¿Qué alfabeto usa el idioma {a}?",
            "¿Con qué letras se escribe el idioma {a}?",
            "¿Qué sistema gráfico hay que aprender para leer en {a}?",
        ),
    },
    asides={
        "money": (
            "En {a} mucha gente paga con tarjeta, pero conviene llevar algo de dinero.",
            "Antes de comprar moneda para {a}, compare los tipos de cambio.",
            "El banco central de {a} vigila los precios.",
        ),
        "tongues": (
            "En las escuelas de {a} se enseña más de una lengua extranjera.",
            "Antes de visitar {a} es cortés aprender unas palabras de saludo.",
            "Los estudiosos recogen los dialectos y refranes de {a}.",
        ),
        "calendar": (
            "Las tiendas de {a} abren a horas distintas del día en verano y en invierno.",
            "En las fiestas de {a} se trabaja poco y se baila mucho.",
            "En {a}, pregunte a qué hora sale el último autobús del día.",
        ),
        "place": (
            "El paisaje de {a} atrae a fotógrafos de todo el mundo.",
            "En el aeropuerto se vende un buen mapa de {a}.",
            "La oficina de estadística de {a} publica un grueso anuario.",
        ),
        "coin": (
            "Los coleccionistas de dinero antiguo buscan monedas raras de {a}.",
            "La cotización de {a} sale cada día en las noticias.",
            "Más de una vez los falsificadores han copiado billetes de {a}.",
        ),
        "tongue": (
            "En internet hay buenos diccionarios de {a}.",
            "Aprender {a} exige paciencia y un buen profesor.",
            "Las canciones y los cuentos en {a} pasan de una generación a otra.",
        ),
    },
)
