"""The sections of docs/benchmarks.md, and what each says of its protocol."""

from dataclasses import dataclass

HEADER = """# Benchmarks

Made from `benchmarks.json` by the commands named in it; never edited by hand. Most of these machines are shared and
noisy: read the ratios, not the single times. The value stands with its standard deviation over the seeds (or rounds);
`floor` is the best untrained predictor of the same run, `parity` the best published figure under the same protocol, and
`peer` another program or model, measured in the same run.
"""

QUALITY = """Full ranking over the whole catalogue, nothing sampled; whatever ties with the target ranks before it. The
epoch and the mixture are chosen on validation cases, never on the test.

- ML-1M and Beauty (S3-Rec version): leave-one-out, seen items removed, as in the published tables. A model may learn
  from other users' future there, so that these figures compare with such tables and with nothing else.
- RetailRocket sessions: the placed test prefixes, repeats allowed; V-STAN is ours, on the same sessions.
- Multi-behaviour: a global time split of views, carts and buys. Each later buy of a user with an earlier one is
  predicted from all that the user did before. The gain in NDCG@10 is over the same model trained and asked with buys
  alone; its floor is what the best untrained predictor of all behaviour gains. Most buys follow a view or a cart of the
  very item, which buys alone cannot know: the gain is large for that reason, and what the network adds is its lead over
  the floor.
- Equal time: every program trains for the same minutes with the same width, depth, length and loss; all lists are
  judged by one code."""

ABLATIONS = """One thing changes from row to row of a data set. Budgets are short, so that rows compare with each other
and not with the tables above. The value is NDCG@10 of the network mixed with rules; `network` is that of the network
alone.

Forgetting: a fifth of the subjects is held out from all training. The network alone is scored on their events before
(`old`) and after (`new`) the time up to which it first saw the log: as it was then (`before`), gone on with newer
events only (`no-replay`), with replay of older ones (`replay`), and trained on the whole log at once (`anew`)."""

SPEED = """Rounds of one program after the other on the same machine and threads, with the same data, width, depth,
heads, length and full softmax, each in an environment of its own. A sequence is one user of the training part: the
peers read its last items, Sequitur all of them, in windows. Preparing the data and evaluating do not count. Scoring is
the top 10 of all users with seen items removed. The share of the machine's peak is the count of
`training_flops_per_event` (ml/benchmark/speed.py) over the operations a second of a large matrix product."""

FAITHFULNESS = """The share of an item's score that is lost without the event that its explanation names, less the mean
of what is lost without any one other event of the history; over the first three items of each list, on one small model.
`low` and `high` bound it with 95% by bootstrap over the lists, `wins` is the share of other events whose absence costs
less, `peer` what naming the event whose absence costs most would give. The mixture is what is served; of it the network
has the share `neural`, and is judged alone too. `list_cpu_ms` is the CPU time of one list of 12 with its reasons."""

INDEX = "The top 10 for one user on one thread, beside exact search over all items."

SERVING = """Real requests over HTTP, from clients on the server's own machine. The value is the 99th percentile in
milliseconds at 8 clients, of rankings and searches at one, who share the machine's cores with the server; lists are
answered by the model itself. `serve.search.recall` is the share of a query's nearest neighbours, as exact search gives
them, that the index of vectors finds. The mixture asks all kinds in turn while events come in, for half an hour."""

ASSESSMENTS = """New transactions of a simulated desk's customers over HTTP, each with velocity features out of the
stored ones and with its own decision, from clients on the server's own machine. The value is the 99th percentile in
milliseconds at 8 clients; `cpu_ms` is the CPU time of one assessment in this process, without HTTP and without what
the database spends. `model` says whether a model or points answered. `risk.alert.delay_s` is the longest time from an
answer until the console's queue of cases, loaded again and again, showed its alert."""

LOOP = """From an event that is sent to a list that shows it; and from a CSV file through import, training, gate and
promotion to answers, under a global time split."""

INGEST = "Events a second through each door, as a share of what a bare COPY of the same rows reaches."

ANOMALIES = """The Fraud Detection Handbook's transactions and its four test folds; nothing learns from a label, and
frauds that were known by then, a week late, are features as they are the handbook's. `no_labels` has none of them: most
frauds of this set lie at compromised terminals, where nothing but earlier labels sets them apart. `parity` is the
handbook's autoencoder, published for one validation split; `floor` is the amount alone."""

RISK = """The Fraud Detection Handbook's simulated transactions and its protocol: a week of training, a week of delay, a
week of test without customers known to be compromised; means over four test weeks, with their standard deviation. The
value may learn from all labels known by the first test day, back to eight weeks; `week` is the same trees with the
labels of the training week alone, which compares with published figures and with the peers, all trained on that week
here. The peers read the handbook's 15 features. Settings were chosen on earlier weeks. The floor is the amount alone
or the terminal's known share of fraud alone.

`reasons.faithfulness`: for the 400 highest scores of a validation week, the share of the probability that is lost when
the features of the first reason become what is usual (the median of genuine ones), less the mean over all other groups
of features, each in turn; `wins` is the share of these that cost less than the first reason."""


INTENTS = """Banking77 whole and in the published draws of 10 and 5 texts an intent, and CLINC150. Held-out texts choose
the mixture, the calibration and the threshold; the test texts are read once. The floor is a logistic regression over
the frozen encoder (for the threshold, over its certainty), `grams` one over n-grams alone. `kept95` is what the
threshold does that keeps 95% of the held-out texts in scope; its published figures rest on another rule. `service.ece`
is the expected calibration error of the probability that the answer is right, on the worse of the two sets.

`service.all-mpnet-base-v2` has the same with that encoder as `INTENT_ENCODER` (at that commit `TEXT_ENCODER` named it),
its weights rounded to 16 bits, and one tuned member; its rates were chosen on training texts of Banking77. Settings and
texts are the command's, the seeds those of the detail. `held_out` and `held_out_frozen` compare it with the encoder as
it was pretrained, on the texts that chose; where a floor stands, it is that one's on the test texts."""


RETRIEVAL = """tau2's banking knowledge, 698 documents; the question is the customer's whole scenario, the value the
share of a task's required documents among the first 20. Settings are chosen on the tasks of even number and judged on
the odd ones, and the other way round; the value is the mean of both directions, with their deviation. The texts of the
tasks that choose also say what questions have in common; nothing is trained on their documents. The floor is the plain
fusion by rank of words and meaning over all tasks, `words` and `meaning` either alone; `sentences` compares each
sentence, `sentences_and_words` adds words, both without what is usual. `first_and_second_half` is the value where these
are the halves, whose tasks are less alike. No cross-encoder is asked; `--only cross_encoder` measures
`service.tau2.cross_encoder_recall20`, the same search with one behind it that reads the best 40 passages (its floor is
the search without), trained on titles and contents of the documents alone."""

REPLY_SPEED = """10,000 articles and macros; each message is a new one of a new conversation and is encoded, by two
processes of four threads on the machine of the clients. No model of intents is live; intents are told from examples.
`server_cpu_ms`, `database_cpu_ms` and `clients_cpu_ms` are what a reply costs each group of processes, whoever else
uses the machine. `service.replies.cpu_ms` is the CPU time of one process without HTTP and without the database's,
`encoding_ms` that of the encoder for the whole message alone, `statements` those of a reply within its request.
`service.embedding.ratio` compares texts a second with tokenizer and model called directly, in turns."""

REPLIES = """JDDC's Chinese conversations (a sample of 10,270 training and 1,141 development pairs): the true answer is
ranked among 99 other development answers, drawn once, none with the same text; what ties with it ranks before it. The
encoder learns from the training pairs alone. `service.jddc.gain` is the gain in MRR as a share of that of BM25 over
characters and their pairs (`words`), which is asked with as many of the last messages as suit it best.
`service.replies.events_gain`: simulated conversations with a few ambiguous messages and ten replies, of which the
customer's events decide; the share of right first choices, less that of the same model without events. No model that
knows the words alone gets beyond `best_of_words_alone` but by chance; `attention_on_deciding` is the share of attention
on events of the deciding type."""

GENERATION = """A language model made from a configuration, with random weights: the engine's stream, which checks for a
cancelled reply after each token and hands text on in pieces, in turns with a bare `generate` of `transformers` on the
same model, prompt and count of tokens. `ratio` is the median over the rounds."""


BIDDING = """iPinYou's campaign 2997 in the protocol of RLB: rounds of 1,000 auctions at the second price, each with a
budget of 1/32 to 1/2 of what the training log's auctions cost, over when the money is gone. The value is the clicks of
all rounds; prices, the mean pCTR and a click's cost are known from the training log, and nothing is tuned on the test
log. The floor is truthful bidding, `parity` the published RLB; `learning` is the same programme over the pCTRs seen on
the way, `dual` and `pid` the other controllers."""


CLICK_RATES = """Frappe_x1: validation and test rows are the published ones (by their MD5), the training rows' negatives
drawn anew from the same distribution. The validation rows choose the epoch and the calibrator, the test rows are read
once a seed. The model also reads what a row's user clicked in the training rows, the row itself left out: how often
this very item, and its 30 most clicked ones. The published models read a row's fields alone; so does `fields_alone`,
one seed of ours. In this set a negative is never an item that its user clicked, so that earlier clicks say much.
`parity` is DeepFM's published figure, the aims are the best of 36 published models. `ece` is the expected calibration
error in 15 bins.

Amazon Beauty (S3-Rec version): whether an item comes next after a history, once for the one that did and once for a
drawn one that the user never had; a user's last item is the test. DeepCTR-Torch's DIN reads the same rows with the same
dimension, batches and epochs, and both choose the epoch on validation. Ours also mixes in, by weights learned on
validation, what stands together in the training rows' histories. The floor is the item's popularity.

UCI's Online Shoppers: who buys in the session, AUC over ten folds with their deviation, by the same task; `peer` is
XGBoost on the same folds, `floor` what gradient boosting is known to reach, and `mixed_with_trees` the mean of both
log-odds, which the task does not offer."""


AD_DECISIONS = """1,000 live flights with different targeting, bids and budgets; a third of them have frequency caps,
and every second request names a subject. A real gunicorn on loopback answers, and stores every decision with its price
reserved. A request asks for `placements` places, each of which is a decision; `server_cpu_ms`, `database_cpu_ms` and
`clients_cpu_ms` are what a request costs each group of processes, whoever else uses the machine. `growth` is the CPU
time of a decision in one process among 4,000 flights over that among 1,000. The clients run on the same machine."""

AD_DAY = """A million requests of 400 kinds and 200 flights in second-price auctions, adaptive pacing every half minute,
on days on which nothing was chosen. *Able* flights are those that could have bought a twenty-fourth of their budget
in every hour, with their full bid against the others as they bid. `budget_error` is the largest share that one of them
left, `hours_within_tenth` the share of their hours within 10% of that twenty-fourth. `welfare` is what the places are
worth to the flights that got them, as a share of the linear programme's optimum for the same requests and budgets at
the day's own prices. `liquid_welfare` counts a flight with its budget at most, beside the optimum of that. The floor is
a day without controllers."""


@dataclass(frozen=True)
class Section:
    """A record belongs to the section that has the longest prefix of its id."""

    title: str
    prefixes: tuple[str, ...]
    protocol: str


SECTIONS = (
    Section("Recommendation quality", ("recsys.",), QUALITY),
    Section("Ablations", ("recsys.ablation.", "recsys.forgetting."), ABLATIONS),
    Section("Training and scoring speed", ("train.", "score."), SPEED),
    Section("Faithfulness of explanations", ("explain.",), FAITHFULNESS),
    Section("Item index", ("index.",), INDEX),
    Section("Serving", ("serve.",), SERVING),
    Section("Risk assessments", ("risk.assess.", "risk.project.", "risk.alert."), ASSESSMENTS),
    Section("The loop", ("loop.",), LOOP),
    Section("Ingest", ("ingest.",), INGEST),
    Section("Risk without labels", ("risk.unsupervised.",), ANOMALIES),
    Section("Risk", ("risk.",), RISK),
    Section("Intents", ("service.",), INTENTS),
    Section("Retrieval", ("service.tau2.",), RETRIEVAL),
    Section("Replies under load", ("service.reply.", "service.embedding."), REPLY_SPEED),
    Section("Choosing replies", ("service.jddc.", "service.replies."), REPLIES),
    Section("Writing replies", ("service.generation.",), GENERATION),
    Section("Bidding under a budget", ("ads.ipinyou.",), BIDDING),
    Section("Click rates", ("ads.frappe.", "ads.sequences.", "ads.shoppers."), CLICK_RATES),
    Section("Ad decisions", ("ads.decide.",), AD_DECISIONS),
    Section("A day of ads", ("ads.pacing.",), AD_DAY),
    Section("Others", ("",), ""),
)


def section_of(name: str) -> Section:
    """The section of a record's id."""
    return max(
        SECTIONS,
        key=lambda section: max((len(prefix) for prefix in section.prefixes if name.startswith(prefix)), default=-1),
    )
