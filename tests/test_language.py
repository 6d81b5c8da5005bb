import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.analyser import languages
from beige.language import detect, script_of
from beige.languages import LANGUAGES

SENTENCES = {
    "ar": "لم يكن الكتاب على الطاولة التي كانت في الغرفة عندما وصل الرجل إلى البيت",
    "be": "Яна не ведала, што гэта была яе апошняя сустрэча з ім, але чакала яго",
    "bg": "Тя не знаеше, че това е последната им среща, и го чакаше пред къщата със свещ в ръка",
    "ca": "La noia va obrir la porta amb les claus que els seus pares li havien deixat, però no hi havia ningú",
    "cs": "Když přišel domů, zjistil, že jeho bratr už je pryč a že na stole leží dopis, který mu napsal",
    "da": "Hun havde ikke læst bogen, men han kunne ikke tale om andet end det, der var sket på øen",
    "de": "Der Zug nach München ist heute ausgefallen, und die Fahrgäste warten nun auf den nächsten",
    "el": "Το βιβλίο ήταν πάνω στο τραπέζι όταν έφτασε ο άνδρας στο σπίτι",
    "en": "The keys were on the table when she came home, but nobody had seen who left them there",
    "eo": "La libro estis sur la tablo, kiam li venis hejmen, sed neniu sciis, kiu metis ĝin tien",
    "es": "El tren de las ocho no llegó a tiempo y los viajeros tuvieron que esperar en la estación",
    "et": "Raamat oli laual, kui ta koju jõudis, aga keegi ei teadnud, kes selle sinna pani",
    "eu": "Liburua mahai gainean zegoen etxera iritsi zenean, baina inork ez zuen ikusi nork utzi zuen hor",
    "fa": "کتاب روی میز بود و وقتی که مرد به خانه رسید هیچ کس نمی دانست چه کسی آن را گذاشته است",
    "fi": "Kirja oli pöydällä, kun hän tuli kotiin, mutta kukaan ei ollut nähnyt, kuka sen oli jättänyt",
    "fr": "Les clés étaient sur la table quand elle est rentrée, mais personne ne savait qui les avait laissées",
    "ga": "Bhí an leabhar ar an mbord nuair a tháinig sé abhaile, ach ní raibh a fhios ag aon duine cé a chuir é",
    "he": "הספר היה על השולחן כשהאיש הגיע הביתה",
    "hi": "किताब मेज़ पर थी और किसी को नहीं पता था कि उसे वहाँ किसने रखा है",
    "hr": "Knjiga je bila na stolu kada je došao kući, ali nitko nije znao tko ju je tamo ostavio između papira",
    "hu": "A könyv az asztalon volt, és senki nem tudta, hogy ki hagyta ott, de ez már nem is volt fontos",
    "hy": "Գիրքը սեղանի վրա էր, երբ նա տուն եկավ",
    "id": "Buku itu ada di atas meja ketika dia pulang, tetapi tidak ada yang tahu siapa yang meletakkannya",
    "it": "Le chiavi erano sul tavolo quando è tornata, ma nessuno sapeva chi le avesse lasciate e perché",
    "ja": "駅前の図書館は月曜日に閉まっていますが、返却口はいつでも使えます。",
    "ko": "도서관은 월요일에 문을 닫지만 반납함은 언제나 쓸 수 있습니다.",
    "lt": "Knyga buvo ant stalo, kai jis grįžo namo, bet niekas nežinojo, kas ją ten padėjo ir kodėl į ją žiūrėjo",
    "lv": "Grāmata bija uz galda, kad viņš pārnāca mājās, bet neviens nezināja, kas to tur bija atstājis",
    "mk": "Книгата беше на масата кога тој дојде дома, но никој не знаеше кој ја оставил и што ќе се случи",
    "mr": "पुस्तक टेबलावर होते आणि ते कोणी ठेवले हे कोणालाही माहीत नव्हते",
    "ne": "किताब टेबुलमा थियो र त्यो कसले राखेको हो भन्ने कसैलाई थाहा थिएन, तर यो राम्रो छ",
    "nl": "Het boek lag op de tafel toen hij thuiskwam, maar niemand wist wie het daar had neergelegd",
    "no": "Boken lå på bordet da han kom hjem, men ingen hadde sett hvem som hadde lagt den der, ikke etter det",
    "pl": "Książka leżała na stole, kiedy wrócił do domu, ale nikt nie wiedział, kto ją tam zostawił",
    "pt": "O livro estava em cima da mesa quando ele chegou, mas ninguém sabia quem o tinha deixado lá, nem o que são",
    "ro": "Cartea era pe masă când a ajuns acasă, dar nimeni nu știa cine a lăsat-o acolo și de ce",
    "ru": "Книга лежала на столе, когда он пришёл домой, но никто не знал, кто её там оставил",
    "sk": "Keď prišiel domov, kniha bola na stole, ale nikto nevedel, kto ju tam nechal a čo je v nej",
    "sl": "Knjiga je bila na mizi, ko je prišel domov, vendar ni nihče vedel, kdo jo je tam pustil in kaj so iz nje",
    "sr": "Књига је била на столу када је дошао кући, али нико није знао ко ју је тамо оставио",
    "sv": "Boken låg på bordet när han kom hem, men ingen hade sett vem som hade lagt den där",
    "ta": "அவன் வீட்டிற்கு வந்தபோது புத்தகம் மேசையின் மேல் இருந்தது",
    "th": "หนังสืออยู่บนโต๊ะเมื่อเขากลับถึงบ้าน",
    "tr": "Kitap masanın üzerindeydi ve eve geldiğinde onu oraya kimin koyduğunu bilen yoktu, ama bu çok önemli değil",
    "uk": "Книга лежала на столі, коли він прийшов додому, але ніхто не знав, хто її там залишив",
    "ur": "کتاب میز پر تھی اور جب وہ گھر پہنچا تو کسی کو معلوم نہیں تھا کہ یہ کس نے رکھی ہے",
    "vi": "Quyển sách ở trên bàn khi anh ấy về nhà, nhưng không một ai biết người nào đã để nó ở đó",
    "zh": "图书馆星期一不开门，但是还书箱随时可以使用。",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_sentence_of_each_language_is_known(code: str) -> None:
    assert detect(SENTENCES[code]) == code
    assert detect(SENTENCES[code].upper()) == code
    assert detect("0123 — 456: " * 20 + SENTENCES[code] + " (12.5 %)") == code


def test_what_cannot_be_told_is_not_guessed() -> None:
    for text in ("", " \n", "12:30", "🙂 !?", "Brake XK-200", "Bremse defekt vorne links", "\ud800\0", "ሰላም ለዓለም"):
        assert detect(text) == "", text


def test_most_of_a_text_decides() -> None:
    assert detect(SENTENCES["zh"] * 3 + " OpenVINO and PyTorch") == "zh"
    assert detect(SENTENCES["en"] + " 熊猫") == "en"
    assert detect(SENTENCES["zh"] + "となりのトトロ") == "zh"
    licence = "Permission is hereby granted to any person who has a copy of this. " * 30
    assert detect(licence + (SENTENCES["de"] + ". ") * 200) == "de"


def test_stemmers_exist_and_scripts_are_told() -> None:
    for language in LANGUAGES.values():
        assert language.stemmer in ("", *languages())
        words = "".join(language.words.split())
        assert {script_of(letter) for letter in words if letter.isalpha()} <= {language.script}


@given(st.text())
def test_any_text_has_a_known_language_or_none(text: str) -> None:
    assert detect(text) in {"", *LANGUAGES}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("xquad_r-en", "en"),
        ("xquad_r-de", "de"),
        ("xquad_r-es", "es"),
        ("xquad_r-ar", "ar"),
        ("xquad_r-zh", "zh"),
        ("cmrc2018-dev", "zh"),
    ],
)
def test_real_sentences(shared_data, name: str, code: str) -> None:
    lines = (shared_data / "retrieval" / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:500]
    found = [detect(json.loads(line)["text"]) for line in lines]
    assert found.count(code) >= 0.94 * len(found)
    assert len(found) - found.count(code) - found.count("") <= 0.01 * len(found), "what is not known is not guessed"
