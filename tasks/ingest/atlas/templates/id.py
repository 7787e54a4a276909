"""Indonesian sentences of atlas."""

from tasks.ingest.atlas.templates.sentences import Sentences

SENTENCES = Sentences(
    titles={
        "money": "Uang di {a}",
        "tongues": "Bahasa-bahasa di {a}",
        "calendar": "Waktu dan kalender di {a}",
        "travel": "Catatan perjalanan: {a}",
        "advice": "Sebelum berangkat ke {a}",
        "facts": "Sekilas tentang {a}",
        "pair": "{a} dan {b}",
    },
    statements={
        "currency": (
            "Mata uang resmi {a} adalah {b}.",
            "Label harga di {a} dicantumkan dalam {b}.",
            "Orang yang menukar uang tunai setibanya di {a} akan menerima {b}.",
            "Gaji dan pajak di {a} dilunasi dengan {b}.",
        ),
        "users": (
            "{a} merupakan alat tukar yang sah di {b}.",
            "Dompet dan mesin kasir penuh dengan {a} di tempat-tempat ini: {b}.",
            "Uang kertas {a} beredar di {b}.",
        ),
        "official": (
            "Bahasa yang berstatus resmi di {a}: bahasa {b}.",
            "Pengumuman umum dan putusan pengadilan di {a} ditulis dalam bahasa {b}.",
            "Pegawai negeri di {a} mengisi formulir dalam bahasa {b}.",
        ),
        "speakers": (
            "Bahasa {a} berstatus resmi di {b}.",
            "Kantor-kantor publik membalas surat dalam bahasa {a} di tempat-tempat ini: {b}.",
        ),
        "code": (
            "Dalam standar ISO 4217, entri untuk {a} adalah {b}.",
            "Di papan kurs, {a} tampil sebagai {b}.",
            "Transfer dalam {a} diberi tanda {b}.",
        ),
        "region": (
            "{a} termasuk {b}.",
            "Buku atlas mendaftar {a} di bawah judul {b}.",
            "Ahli geografi memasukkan {a} ke dalam {b}.",
        ),
        "members": (
            "{a} antara lain mencakup {b}.",
            "Sejumlah negara dan pulau membentuk {a}, misalnya {b}.",
        ),
        "weekend": (
            "Akhir pekan di {a} jatuh pada {b}.",
            "Kebanyakan kantor di {a} tutup pada {b}.",
            "Keluarga-keluarga di {a} bersantai bersama pada {b}.",
        ),
        "week_start": (
            "Kalender cetak di {a} membuka setiap baris dengan {b}.",
            "Di {a} buku agenda mulai menghitung dari {b}.",
            "Penomoran tujuh hari di {a} berawal dari {b}.",
        ),
        "zone": (
            "Jarum jam di {a} berdetak seirama dengan {b}.",
            "Ketika tengah hari tiba di kota {b}, tengah hari pula di {a}.",
            "Jadwal kereta dan pesawat di {a} mengikuti pukul di {b}.",
        ),
        "script": (
            "Bahasa {a} ditulis dalam aksara {b}.",
            "Koran berbahasa {a} dicetak dengan karakter {b}.",
        ),
        "written": (
            "Aksara {a} melayani antara lain bahasa {b}.",
            "Orang yang mengenal karakter {a} dapat mengeja bahasa {b}.",
        ),
        "minority": ("Sekitar {n} persen penduduk {a} menguasai bahasa {b}, meskipun tanpa status resmi.",),
    },
    questions={
        "currency": (
            "Dengan apa orang membayar di {a}?",
            "Uang apa yang saya perlukan di {a}?",
            "Apa satuan moneter negara {a}?",
        ),
        "users": (
            "Di negara mana saya bisa membayar dengan {a}?",
            "Di mana {a} menjadi uang nasional?",
            "Negara mana yang memakai {a}?",
        ),
        "official": (
            "Apa bahasa negara di {a}?",
            "Bahasa apa yang dipakai pemerintah {a}?",
            "Dengan bahasa apa {a} diperintah?",
        ),
        "speakers": (
            "Di negara mana bahasa {a} menjadi bahasa negara?",
            "Di mana pemerintah bekerja dengan bahasa {a}?",
            "Wilayah mana yang diperintah dengan bahasa {a}?",
        ),
        "code": (
            "Apa kode tiga huruf untuk {a}?",
            "Bagaimana bank menyingkat {a}?",
            "Huruf apa yang mewakili {a} di pasar valuta asing?",
        ),
        "region": (
            "Di bagian dunia mana {a} berada?",
            "Di mana letak {a}?",
            "Di kawasan mana {a} terletak?",
        ),
        "weekend": (
            "Hari apa saja orang tidak bekerja di {a}?",
            "Kapan karyawan di {a} libur setiap minggu?",
            "Apa hari libur mingguan di {a}?",
        ),
        "week_start": (
            "Apa hari pertama dalam seminggu di {a}?",
            "Pada hari apa minggu baru dimulai di {a}?",
            "Hari apa yang paling awal dalam seminggu di {a}?",
        ),
        "zone": (
            "Waktu setempat kota mana yang berlaku di {a}?",
            "Zona waktu apa yang dipakai {a}?",
            "Menurut kota mana arloji disetel di {a}?",
        ),
        "script": (
            "Alfabet apa yang dipakai bahasa {a}?",
            "Huruf apa yang dipakai untuk mengeja bahasa {a}?",
            "Sistem tulisan apa yang diperlukan untuk membaca bahasa {a}?",
        ),
    },
    asides={
        "money": (
            "Banyak orang membayar dengan kartu di {a}, tetapi sebaiknya tetap membawa uang.",
            "Bandingkan kurs sebelum membeli uang untuk perjalanan ke {a}.",
            "Bank sentral {a} mengawasi harga barang.",
        ),
        "tongues": (
            "Sekolah-sekolah di {a} mengajarkan lebih dari satu bahasa asing.",
            "Sebelum mengunjungi {a} sebaiknya belajar beberapa kata salam.",
            "Para peneliti mencatat dialek dan peribahasa di {a}.",
        ),
        "calendar": (
            "Jam buka toko di {a} berubah menurut musim.",
            "Pada hari raya orang di {a} jarang bekerja dan banyak bernyanyi.",
            "Tanyakan pukul berapa bus terakhir hari itu berangkat di {a}.",
        ),
        "place": (
            "Pemandangan {a} menarik fotografer dari seluruh dunia.",
            "Peta {a} yang bagus dijual di bandara.",
            "Kantor statistik {a} menerbitkan buku tahunan yang tebal.",
        ),
        "coin": (
            "Kolektor uang kuno mencari koin {a} yang langka.",
            "Nilai tukar {a} diberitakan setiap hari.",
            "Para pemalsu lebih dari sekali meniru uang kertas {a}.",
        ),
        "tongue": (
            "Kamus bahasa {a} yang baik tersedia di internet.",
            "Belajar bahasa {a} memerlukan kesabaran dan guru yang baik.",
            "Lagu dan cerita berbahasa {a} diwariskan dari generasi ke generasi.",
        ),
    },
)
