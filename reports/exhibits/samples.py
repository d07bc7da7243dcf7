"""Examples of responses, in the manner of Tables 8 to 12 of SGPO."""

from harness.errors import UserError
from harness.results.exhibits import Sample, SamplesResult
from harness.results.manifest import Manifest
from reports import blocks
from reports.blocks import Block, MarkedSamples, Piece, Prose, Records
from reports.measured import first_seed, source
from reports.worddiff import pieces

LEGEND = (
    "In each response after the first, words that the first does not have are marked, underlined or bold; words that "
    "only the first has are crossed out, or in brackets behind a minus sign."
)


def samples(manifest: Manifest, result: SamplesResult) -> tuple[list[Block], Records]:
    """Show the responses to each prompt, words that differ from the first response marked.

    Raises UserError for a group that the exhibit does not have.
    """
    exhibit = result.exhibit
    found: list[Block] = [Prose(f"{LEGEND} {source(manifest, exhibit, first_seed(manifest))}", quiet=True)]
    records: list[tuple[object, ...]] = []
    for each in result.groups:
        if not 0 <= each.group < len(exhibit.groups):
            raise UserError(
                f"{exhibit.name} has {len(exhibit.groups)} groups of samples, none with the number {each.group}"
            )
        group = exhibit.groups[each.group]
        about = manifest.models[group.model].label
        model = exhibit.paper.model(group.model)
        found.append(
            MarkedSamples(
                title=group.title,
                detail=f"In the manner of {group.of}; {model}, here {about}",
                samples=tuple(_marked(sample) for sample in each.samples),
            )
        )
        for sample in each.samples:
            names = (group.of, group.title, group.model, model, sample.prompt_id, sample.prompt)
            records += [(*names, label, text) for label, text in sample.responses.items()]
    fields = ("of", "title", "model", "model_label", "prompt_id", "prompt", "label", "response")
    return found, Records(fields, tuple(records))


def _marked(sample: Sample) -> blocks.MarkedSample:
    (first_label, first), *others = sample.responses.items()
    return blocks.MarkedSample(
        sample.prompt_id,
        sample.prompt,
        ((first_label, (Piece(first),)), *((label, pieces(first, text)) for label, text in others)),
    )
