"""Filters made at random, over the documents of `samples`."""

from hypothesis import strategies as st

from beige.index.filter import All, Any, Condition, Filter, Not

ORDER = st.sampled_from(["=", "<", "<=", ">", ">="])
ONE = st.integers(0, 40).map(lambda number: (number,))


def among(*values: object) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple)


CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Condition, st.just("path"), st.just("="), among("doc1", "doc[2-5]", "*7", "/doc3", "other/**")),
    st.builds(Condition, st.just("type"), st.just("="), among("pdf", "Markdown", "record", "none")),
    st.builds(Condition, st.just("language"), st.just("="), among("de", "EN")),
    st.builds(
        Condition,
        st.just("modified"),
        ORDER,
        st.sampled_from(["1970", 1971, "1970-09", "1971-02-05", "1970-03-02T00:00", "1970-03-02T00:00:00"]).map(
            lambda value: (value,)
        ),
    ),
    st.builds(Condition, st.just("heading"), st.just("="), among("über", "1", "ÜBER", "3", "none")),
    st.builds(Condition, st.just("page"), ORDER, st.integers(0, 4).map(lambda page: (page,))),
    st.builds(Condition, st.sampled_from(["seed", "half", "text", "tags"]), ORDER, ONE),
    st.builds(Condition, st.just("half"), st.just("="), among(0.5, 1, 7.5, 10.0, "3.0", "3")),
    st.builds(Condition, st.just("tags"), st.just("="), among("draft", "a b", 7, "7", True, "true", 1)),
    st.builds(
        Condition, st.sampled_from(["name", "even", "text"]), ORDER, st.sampled_from([("ü",), ("true",), ("3",)])
    ),
    st.builds(Condition, st.sampled_from(["record.type", "nowhere"]), st.just("="), among("own", "pdf")),
    st.builds(
        Condition,
        st.sampled_from(["path", "type", "modified", "heading", "page", "tags", "some field", "record.type"]),
        st.just("any"),
    ),
)

FILTERS: st.SearchStrategy[Filter] = st.recursive(
    CONDITIONS,
    lambda part: st.one_of(
        st.builds(Not, part),
        st.builds(All, st.lists(part, max_size=3).map(tuple)),
        st.builds(Any, st.lists(part, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
