"""What the generator is told, in each language: data only.

Back: query and positive -> summary. Forward: summary -> new query.
Every prompt is written in the language that the answer has to have: a small LLM answers in the language in which it is
asked, whatever an English instruction says about the output.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompts:
    """One language's prompts."""

    system: str
    """How to answer."""
    back: str
    """Holds {query} and {passage}."""
    forward: str
    """Holds {summary}."""


PROMPTS: dict[str, Prompts] = {
    "ar": Prompts(
        system="أنت تُعدّ بيانات لمحرك بحث. اكتب باللغة العربية فقط. اكتب المطلوب بالضبط ولا شيء غيره.",
        back=(
            "السؤال: {query}\n\nالنص: {passage}\n\n"
            "لخّص النص في جملتين أو ثلاث جمل، واحتفظ بما يتعلق بالسؤال. اكتب الملخص فقط."
        ),
        forward=("الملخص: {summary}\n\nاكتب سؤال بحث قصيرًا واحدًا يجيب عنه هذا الملخص. اكتب السؤال فقط، في سطر واحد."),
    ),
    "bn": Prompts(
        system=("তুমি একটি সার্চ ইঞ্জিনের জন্য তথ্য তৈরি করছ। শুধু বাংলায় লেখো। যা চাওয়া হয়েছে ঠিক তাই লেখো, আর কিছু নয়।"),
        back=(
            "প্রশ্ন: {query}\n\nলেখা: {passage}\n\n"
            "লেখাটির সারাংশ দুই বা তিন বাক্যে লেখো। প্রশ্নের সঙ্গে যা সম্পর্কিত তা রাখো। শুধু সারাংশ লেখো।"
        ),
        forward=("সারাংশ: {summary}\n\nএমন একটি ছোট অনুসন্ধানের প্রশ্ন লেখো যার উত্তর এই সারাংশে আছে। শুধু প্রশ্নটি লেখো, এক লাইনে।"),
    ),
    "en": Prompts(
        system=(
            "You prepare data for a search engine. Write in English only. Write exactly what is asked for, "
            "nothing else."
        ),
        back=(
            "Question: {query}\n\nText: {passage}\n\n"
            "Summarise the text in two or three sentences and keep what bears on the question. Write only the "
            "summary."
        ),
        forward=(
            "Summary: {summary}\n\n"
            "Write one short search question that this summary answers. Write only the question, on one line."
        ),
    ),
    "es": Prompts(
        system=(
            "Preparas datos para un buscador. Escribe solo en español. Escribe exactamente lo que se pide y nada más."
        ),
        back=(
            "Pregunta: {query}\n\nTexto: {passage}\n\n"
            "Resume el texto en dos o tres frases y conserva lo que tenga que ver con la pregunta. Escribe "
            "solo el resumen."
        ),
        forward=(
            "Resumen: {summary}\n\n"
            "Escribe una pregunta de búsqueda breve que este resumen responda. Escribe solo la pregunta, en "
            "una línea."
        ),
    ),
    "fa": Prompts(
        system=(
            "تو برای یک موتور جستجو داده آماده می‌کنی. فقط به فارسی بنویس. دقیقاً همان چیزی را بنویس که خواسته "
            "شده و نه چیز دیگری."
        ),
        back=(
            "پرسش: {query}\n\nمتن: {passage}\n\n"
            "متن را در دو یا سه جمله خلاصه کن و آنچه را که به پرسش مربوط است نگه دار. فقط خلاصه را بنویس."
        ),
        forward=(
            "خلاصه: {summary}\n\n"
            "یک پرسش کوتاه برای جستجو بنویس که این خلاصه به آن پاسخ می‌دهد. فقط پرسش را در یک خط بنویس."
        ),
    ),
    "fi": Prompts(
        system=(
            "Valmistelet aineistoa hakukoneelle. Kirjoita vain suomeksi. Kirjoita täsmälleen se, mitä "
            "pyydetään, ei muuta."
        ),
        back=(
            "Kysymys: {query}\n\nTeksti: {passage}\n\n"
            "Tiivistä teksti kahteen tai kolmeen virkkeeseen ja säilytä se, mikä liittyy kysymykseen. Kirjoita "
            "vain tiivistelmä."
        ),
        forward=(
            "Tiivistelmä: {summary}\n\n"
            "Kirjoita yksi lyhyt hakukysymys, johon tämä tiivistelmä vastaa. Kirjoita vain kysymys, yhdelle "
            "riville."
        ),
    ),
    "fr": Prompts(
        system=(
            "Tu prépares des données pour un moteur de recherche. Écris uniquement en français. Écris "
            "exactement ce qui est demandé et rien d'autre."
        ),
        back=(
            "Question : {query}\n\nTexte : {passage}\n\n"
            "Résume le texte en deux ou trois phrases et garde ce qui concerne la question. Écris seulement le "
            "résumé."
        ),
        forward=(
            "Résumé : {summary}\n\n"
            "Écris une courte question de recherche à laquelle ce résumé répond. Écris seulement la question, "
            "sur une ligne."
        ),
    ),
    "hi": Prompts(
        system=("तुम एक खोज इंजन के लिए डेटा तैयार करते हो। केवल हिंदी में लिखो। जो माँगा गया है ठीक वही लिखो, और कुछ नहीं।"),
        back=(
            "प्रश्न: {query}\n\nपाठ: {passage}\n\n"
            "पाठ का सारांश दो या तीन वाक्यों में लिखो और जो प्रश्न से जुड़ा है उसे रखो। केवल सारांश लिखो।"
        ),
        forward=(
            "सारांश: {summary}\n\nखोज के लिए एक छोटा प्रश्न लिखो जिसका उत्तर यह सारांश देता है। केवल प्रश्न लिखो, एक पंक्ति में।"
        ),
    ),
    "id": Prompts(
        system=(
            "Anda menyiapkan data untuk mesin pencari. Tulislah hanya dalam bahasa Indonesia. Tulislah tepat "
            "apa yang diminta dan tidak ada yang lain."
        ),
        back=(
            "Pertanyaan: {query}\n\nTeks: {passage}\n\n"
            "Ringkaslah teks itu dalam dua atau tiga kalimat dan pertahankan yang berkaitan dengan pertanyaan. "
            "Tulislah ringkasannya saja."
        ),
        forward=(
            "Ringkasan: {summary}\n\n"
            "Tulislah satu pertanyaan pencarian singkat yang dijawab oleh ringkasan ini. Tulislah "
            "pertanyaannya saja, dalam satu baris."
        ),
    ),
    "ja": Prompts(
        system=(
            "あなたは検索エンジンのためのデータを作成します。日本語だけで書いてください。"
            "求められたものだけを書き、ほかには何も書かないでください。"
        ),
        back=(
            "質問：{query}\n\n本文：{passage}\n\n"
            "質問に関係する内容を残して、本文を二、三文で要約してください。要約だけを書いてください。"
        ),
        forward=(
            "要約：{summary}\n\n"
            "この要約が答えになる短い検索用の質問を一つ書いてください。質問だけを一行で書いてください。"
        ),
    ),
    "ko": Prompts(
        system=(
            "당신은 검색 엔진을 위한 데이터를 준비합니다. 한국어로만 쓰세요. 요청받은 것만 정확히 쓰고 다른 "
            "것은 쓰지 마세요."
        ),
        back=(
            "질문: {query}\n\n본문: {passage}\n\n"
            "질문과 관련된 내용을 남기고 본문을 두세 문장으로 요약하세요. 요약만 쓰세요."
        ),
        forward="요약: {summary}\n\n이 요약이 답이 되는 짧은 검색 질문을 하나 쓰세요. 질문만 한 줄로 쓰세요.",
    ),
    "ru": Prompts(
        system=(
            "Ты готовишь данные для поисковой системы. Пиши только по-русски. Пиши ровно то, о чём просят, и "
            "ничего больше."
        ),
        back=(
            "Вопрос: {query}\n\nТекст: {passage}\n\n"
            "Кратко перескажи текст в двух-трёх предложениях и сохрани то, что относится к вопросу. Напиши "
            "только пересказ."
        ),
        forward=(
            "Пересказ: {summary}\n\n"
            "Напиши один короткий поисковый вопрос, на который отвечает этот пересказ. Напиши только вопрос, "
            "одной строкой."
        ),
    ),
    "sw": Prompts(
        system=(
            "Unaandaa data kwa ajili ya injini ya utafutaji. Andika kwa Kiswahili tu. Andika kile tu "
            "kilichoombwa na si kitu kingine."
        ),
        back=(
            "Swali: {query}\n\nMaandishi: {passage}\n\n"
            "Fupisha maandishi haya kwa sentensi mbili au tatu na ubakize yale yanayohusu swali. Andika "
            "muhtasari tu."
        ),
        forward=(
            "Muhtasari: {summary}\n\n"
            "Andika swali moja fupi la utafutaji ambalo linajibiwa na muhtasari huu. Andika swali tu, kwenye "
            "mstari mmoja."
        ),
    ),
    "te": Prompts(
        system=("మీరు ఒక సెర్చ్ ఇంజిన్ కోసం డేటాను సిద్ధం చేస్తున్నారు. తెలుగులో మాత్రమే రాయండి. అడిగినదే రాయండి, ఇంకేమీ రాయవద్దు."),
        back=(
            "ప్రశ్న: {query}\n\nపాఠం: {passage}\n\n"
            "ప్రశ్నకు సంబంధించిన విషయాలను ఉంచుతూ పాఠాన్ని రెండు లేదా మూడు వాక్యాలలో సంగ్రహించండి. సారాంశం "
            "మాత్రమే రాయండి."
        ),
        forward=("సారాంశం: {summary}\n\nఈ సారాంశం సమాధానమిచ్చే ఒక చిన్న శోధన ప్రశ్న రాయండి. ప్రశ్న మాత్రమే, ఒకే వరుసలో రాయండి."),
    ),
    "th": Prompts(
        system=("คุณกำลังเตรียมข้อมูลสำหรับเครื่องมือค้นหา เขียนเป็นภาษาไทยเท่านั้น เขียนเฉพาะสิ่งที่ขอและไม่เขียนอย่างอื่น"),
        back=(
            "คำถาม: {query}\n\nข้อความ: {passage}\n\n"
            "สรุปข้อความนี้เป็นสองหรือสามประโยค โดยเก็บสิ่งที่เกี่ยวข้องกับคำถามไว้ เขียนเฉพาะบทสรุป"
        ),
        forward=("บทสรุป: {summary}\n\nเขียนคำถามสั้น ๆ หนึ่งข้อสำหรับการค้นหา ที่บทสรุปนี้ให้คำตอบ เขียนเฉพาะคำถามในบรรทัดเดียว"),
    ),
    "zh": Prompts(
        system="你在为搜索引擎准备数据。只用中文书写。只写所要求的内容，不要写其他内容。",
        back="问题：{query}\n\n文本：{passage}\n\n请用两三句话概括文本，保留与问题有关的内容。只写概括。",
        forward="概括：{summary}\n\n请写一个可以用这段概括来回答的简短搜索问题。只写问题，写在一行里。",
    ),
}
