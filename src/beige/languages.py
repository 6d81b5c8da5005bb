"""The languages that are told apart, as data: script, stemmer, most frequent words."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """A language that can be told from others.

    Attributes:
        script: what its words are written in, one of the analyser's; empty where it has no words to stem.
        stemmer: its Snowball name; empty where there is none, and words are compared as they are.
        words: its most frequent words, where others are written in the same script.
        letters: that few others have.
    """

    script: str
    stemmer: str = ""
    words: str = ""
    letters: str = ""


LANGUAGES: Mapping[str, Language] = {
    "ar": Language(
        "arabic",
        "arabic",
        letters="ةىإأ",
        words="في من على إلى أن عن التي الذي هذا هذه مع كان كانت ما لا أو بين قد ذلك هو هي بعد كل لم ثم عام و حيث "
        "عند كما خلال ماذا كيف متى أين كم أي",
    ),
    "be": Language(
        "cyrillic",
        letters="ўіы",
        words="і ў на з не што як да па у яго быў былі ад для але пры таксама або гэта які якія за",
    ),
    "bg": Language(
        "cyrillic",
        letters="ъщ",
        words="на и в за от е да се с са че по като не до при през който която които или след към си има беше бъде "
        "това",
    ),
    "ca": Language(
        "latin",
        "catalan",
        letters="·ç",
        words="el la els les de del dels i amb per que una un és a al en va ser com més no són aquest aquesta però "
        "també o es l d seva han estat molt quan on",
    ),
    "cs": Language(
        "latin",
        "czech",
        letters="řůěťďň",
        words="a v na se je že z s o do k jako pro ve byl byla bylo byly od po za ale však tak jeho jsou které "
        "který která nebo podle při také až už jejich si co kdy kde když mu by ještě",
    ),
    "da": Language(
        "latin",
        "danish",
        letters="æøå",
        words="og i at er en et den til det på af med som for ikke der var de fra har blev kan også om efter han "
        "hun havde eller men ved blive hvor hvad hvilken hvem mange noget mere ud ingen",
    ),
    "de": Language(
        "latin",
        "german",
        letters="ßäöü",
        words="der die das und in den von zu mit ist auf für des dem im ein eine einer eines als auch sich nicht es "
        "an werden aus er hat dass sie nach wird bei wurde waren war sind wie oder über einen einem durch was "
        "wer welche welcher welches wo wann zum zur vor kann wenn nur",
    ),
    "el": Language("greek", "greek"),
    "en": Language(
        "latin",
        "english",
        words="the of and to in is that was for it with as on be are by this from at or which an not have has had "
        "were been but their its he they his she what who how when where why did does do can we you if there "
        "more than other these into no will would about",
    ),
    "eo": Language(
        "latin",
        "esperanto",
        letters="ĉĝĥĵŝŭ",
        words="la de kaj en estas estis al kiu kiuj ke por kun ne per sur el li ĝi ili sed ankaŭ aŭ kiel pli tiu "
        "tiuj oni tio ĉi esti post pri kie kio",
    ),
    "es": Language(
        "latin",
        "spanish",
        letters="ñ¿¡áíóúé",
        words="de la que el en y a los del se las por un con una su para es al lo como más o fue sus pero no este "
        "esta son entre cuando muy sin sobre también había era han qué quién cuál cómo dónde cuándo cuántos "
        "cuántas desde hasta hay porque ser según",
    ),
    "et": Language(
        "latin",
        "estonian",
        letters="õäöü",
        words="ja on ei oli et see kui ka ta mis oma kes või aga nii nagu siis selle mille olid ning pole mida "
        "välja juba pärast kus enne",
    ),
    "eu": Language(
        "latin",
        "basque",
        words="eta da zen ez du bat ere izan dira egin zuen zuten hau edo bere baina den dute duen beste ziren oso "
        "arte nola zer non",
    ),
    "fa": Language(
        "arabic",
        "persian",
        letters="پچگکی",
        words="و در به از که این را با است برای آن یک خود تا بود شد می های بر هم او نیز شده باید یا اما سال ها چه "
        "کرد کرده",
    ),
    "fi": Language(
        "latin",
        "finnish",
        letters="äö",
        words="ja on ei että se oli hän mutta kuin myös ovat joka tai sen ole mukaan jotka olivat kun jonka niin "
        "hänen ne sekä vain olla siitä mitä missä milloin kuka koska",
    ),
    "fr": Language(
        "latin",
        "french",
        letters="çœêèàùéô",
        words="de la le les et des en un une du que est dans pour qui par sur au il pas plus avec ce se sont ne "
        "cette ou aux son sa ses mais comme été elle leur ont fait l d n s c qu quel quelle comment où quand "
        "combien être entre aussi ces nous vous",
    ),
    "ga": Language(
        "latin",
        "irish",
        words="agus an na is ar ag go i le bhí tá sé sí do a de atá nach nó leis féin mar chun raibh den bhfuil ina "
        "sin seo cad cén conas",
    ),
    "he": Language("hebrew"),
    "hi": Language(
        "devanagari",
        "hindi",
        words="के में की है और से का को पर यह हैं ने एक था कि जो भी गया थी हो कर वह थे लिए इस किया क्या कौन कब कहाँ या",
    ),
    "hr": Language(
        "latin",
        letters="đćčšž",
        words="i u je se na su za od da s koji koja koje kao iz sa ili te bio bila bilo ali nije više što kako gdje "
        "tko prema po do o bi nakon između",
    ),
    "hu": Language(
        "latin",
        "hungarian",
        letters="őűáéö",
        words="a az és hogy nem is egy volt meg de csak el már mint ez ha azt vagy ki még után ezt lett voltak "
        "szerint amely amelyek között által mi mely hol mikor hány milyen",
    ),
    "hy": Language("armenian", "armenian"),
    "id": Language(
        "latin",
        "indonesian",
        words="yang dan di dari ini untuk dengan pada adalah itu dalam tidak ke oleh sebagai akan juga atau telah "
        "mereka ada karena seperti lebih dapat bisa apa siapa bagaimana kapan",
    ),
    "it": Language(
        "latin",
        "italian",
        letters="òùìàè",
        words="di e il la che in un del per una è della i a con le da si al dei sono non come nel alla lo gli delle "
        "anche più ha ma dal o dalla nella fu era su questo questa chi cosa quando dove quale quali essere "
        "stato stata",
    ),
    "ja": Language(""),
    "ko": Language(""),
    "lt": Language(
        "latin",
        "lithuanian",
        letters="ėįųūąę",
        words="ir kad yra iš su į buvo kaip ne bet ar tai per po apie už jo jie dėl taip bei savo metais nuo prie "
        "kurie kuris arba kas kur",
    ),
    "lv": Language(
        "latin",
        letters="āēīķļņģ",
        words="un ir ar no par uz kas bija ka kā tika pēc arī bet gada pie kuru tas vai gan kad tā viņš savu kur",
    ),
    "mk": Language(
        "cyrillic",
        letters="ѓќѕј",
        words="на и во од се за да е со по не како што ќе биле бил или кој која кои до при ги го",
    ),
    "mr": Language(
        "devanagari",
        words="आणि आहे या च्या हे ते होते त्या व मध्ये साठी एक आहेत होता होती की असे तर झाला",
    ),
    "ne": Language(
        "devanagari",
        "nepali",
        words="र को छ मा का ले हो पनि यो भएको गरेको छन् थियो लागि एक भने तथा हुन्छ",
    ),
    "nl": Language(
        "latin",
        "dutch",
        words="de het een van en in is dat op te voor met zijn die niet aan er werd om ook als bij door naar uit "
        "dan of tot was worden over hij wordt heeft maar zich hebben wat wie hoe waar welke wanneer deze kan "
        "meer nog",
    ),
    "no": Language(
        "latin",
        "norwegian",
        letters="æøå",
        words="og i er det som en på til av for å at med ikke den et var de fra har om ble seg men eller han også "
        "kan etter hva hvem hvor mange ved sin skal over hadde ingen noe mer ut sett",
    ),
    "pl": Language(
        "latin",
        "polish",
        letters="łąęśźżńć",
        words="w i na z się do nie jest że o to od po jak przez za oraz był była było dla co są jego tym także ale "
        "który która które lub może przy ich ze jako kiedy gdzie kto",
    ),
    "pt": Language(
        "latin",
        "portuguese",
        letters="ãõçáéê",
        words="de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das à "
        "seu sua ou ser quando muito também são pelo pela até entre era qual quem onde foram está",
    ),
    "ro": Language(
        "latin",
        "romanian",
        letters="șțăţşâî",
        words="de și în a la cu pe care este din un o nu că se mai fost sau prin pentru sunt al ale lui după ca fi "
        "despre către între ce cine când unde cât era",
    ),
    "ru": Language(
        "cyrillic",
        "russian",
        letters="ыэё",
        words="и в не на что с по как из к у от за о для это был была были было он она они его но а также или при "
        "до же так то который которые бы со во какой кто где когда сколько",
    ),
    "sk": Language(
        "latin",
        letters="ľĺŕôťň",
        words="a v na sa je že z s o do k ako pre vo bol bola bolo boli od po za ale však tak jeho sú ktoré ktorý "
        "ktorá alebo podľa pri tiež až ich aj čo kto kde keď",
    ),
    "sl": Language(
        "latin",
        letters="čšž",
        words="in je v na se da so za z s ki kot pa tudi ne bil bila bilo od po ali iz do pri ker že bi kaj kdo kje "
        "med lahko ter",
    ),
    "sr": Language(
        "cyrillic",
        "serbian",
        letters="јђћљњџ",
        words="и је у на се да су за од са као који која које из али или не био била по до што више након између",
    ),
    "sv": Language(
        "latin",
        "swedish",
        letters="åäö",
        words="och i att det som en på är av för med till den har de inte om ett var från men vid han eller under "
        "när också kan efter blev vad vem hur många sig där sin",
    ),
    "ta": Language("tamil", "tamil"),
    "th": Language(""),
    "tr": Language(
        "latin",
        "turkish",
        letters="ğışçöü",
        words="ve bir bu da de için ile olarak olan çok daha gibi en ne kadar sonra ise oldu değil ama veya her "
        "tarafından o ya hangi nasıl nerede kim olduğu göre",
    ),
    "uk": Language(
        "cyrillic",
        letters="іїєґ",
        words="і в на з що не у до та як за від для його є був була було були або це по при також але ж із який яка "
        "які якого про хто де коли",
    ),
    "ur": Language(
        "arabic",
        letters="ٹڈےںہکی",
        words="کے کی میں ہے اور سے کا کو اس پر یہ ہیں نے ایک تھا کہ جو بھی گیا تھی ہو کر وہ تھے کیا",
    ),
    "vi": Language(
        "latin",
        letters="đơưạảấầậếềệốộớờợ",
        words="của và là các có được trong cho một những không với người này đã từ đến khi ở như về tại năm nhiều "
        "để ra vào gì nào bao đó theo",
    ),
    "zh": Language(""),
}
"""By ISO 639-1."""
