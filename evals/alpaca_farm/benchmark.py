"""AlpacaFarm's win rate: as the pairwise one, from a judge that replies with a ranking (SRPO, section 6)."""

from evals.pairwise.benchmark import Pairwise


class AlpacaFarm(Pairwise):
    """Two sets of responses, ranked in both orders: a win counts 1 and a draw ½ (SRPO, section C.3).

    The words and parameters are those of alpaca_eval's judge alpaca_eval_gpt4_0613, which shows a pair in one order
    alone. Both orders cancel the judge's liking for a position.
    """

    summary = "win rate against given answers by a judge that ranks two models, both orders, a draw counting half"
    source = "Dubois et al. 2023; SRPO, section 6 and C.3"
    protocol = "alpaca_farm"


BENCHMARK = AlpacaFarm()
