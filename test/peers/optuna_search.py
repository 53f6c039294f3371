"""Runs Optuna's samplers on the random problems of `emotune bench search --generated`; see README.md beside this file."""

import argparse
import json
import math
import os
import time
import warnings

import optuna

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)

SAMPLERS = {
    "default": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "multivariate, group": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True
    ),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
}


def body_of(parameter):
    kind = next(kind for kind in ("double", "integer", "categorical") if kind in parameter)
    return kind, parameter[kind]


def suggest(problem, trial):
    """Values of the active parameters; the problem lists parents before children."""
    values = {}
    for parameter in problem["parameters"]:
        name = parameter["name"]
        condition = parameter.get("condition")
        if condition and values.get(condition["parameter"]) not in condition["values"]:
            continue
        kind, body = body_of(parameter)
        if kind == "categorical":
            values[name] = trial.suggest_categorical(name, body["values"])
        elif kind == "integer":
            values[name] = trial.suggest_int(name, body["min"], body["max"], log=body.get("log", False))
        elif "step" in body:
            values[name] = trial.suggest_float(name, body["min"], body["max"], step=body["step"])
        else:
            values[name] = trial.suggest_float(name, body["min"], body["max"], log=body.get("log", False))
    return values


def places_of(problem, values):
    places = {}
    for parameter in problem["parameters"]:
        name = parameter["name"]
        kind, body = body_of(parameter)
        if kind == "categorical" or name not in values:
            continue
        scale = math.log if body.get("log") else float
        low = scale(body["min"])
        places[name] = (scale(values[name]) - low) / (scale(body["max"]) - low)
    return places


def sum_of(shares, u):
    return sum(share["factor"] * (u[share["parameter"]] - share["centre"]) for share in shares)


def squares_of(shares, u):
    return sum(sum_of([share], u) ** 2 for share in shares)


def shape_value(term, u):
    kind, weight, shares = term["kind"], term["weight"], term["of"]
    if kind == "power":
        return weight * abs(sum_of(shares, u)) ** term["exponent"]
    if kind == "curve":
        along, across = (u[share["parameter"]] - share["centre"] for share in shares)
        return weight * (across - term["bend"] * along * along) ** 2
    if kind == "waves":
        return weight * (1 - math.cos(2 * math.pi * term["frequency"] * sum_of(shares, u)))
    if kind == "basin":
        return weight * (1 - math.exp(-squares_of(shares, u)))
    if kind == "funnel":
        return weight * (1 - math.exp(-math.sqrt(squares_of(shares, u))))
    if kind == "product":
        scaled, scaling = (sum_of([share], u) for share in shares)
        ripple = (1 - math.cos(2 * math.pi * term["frequency"] * scaling)) / 2
        return weight * scaled * scaled * (1 + term["gain"] * ripple)
    if kind == "wells":
        depths = [well["depth"] * math.exp(-squares_of(well["of"], u)) for well in term["others"]]
        return weight * (1 - max(math.exp(-squares_of(shares, u)), *depths))
    if kind == "terraces":
        return weight * math.floor(term["levels"] * abs(sum_of(shares, u))) / term["levels"]
    if kind == "slope":
        return -weight * sum_of(shares, u)
    raise ValueError(kind)


def index_of(problem, values, name):
    body = next(parameter for parameter in problem["parameters"] if parameter["name"] == name)["categorical"]
    return body["values"].index(values[name])


def value_of(problem, values):
    u = places_of(problem, values)
    total = 0.0
    for term in problem["terms"]:
        if term["kind"] == "offset":
            if term["parameter"] in values:
                total += term["offsets"][index_of(problem, values, term["parameter"])]
            continue
        if term["kind"] == "table":
            if all(name in values for name in term["parameters"]):
                row, column = (index_of(problem, values, name) for name in term["parameters"])
                total += term["offsets"][row][column]
            continue
        when = term.get("when")
        if when and values.get(when["parameter"]) != when["value"]:
            continue
        if all(share["parameter"] in u for share in term["of"]):
            total += shape_value(term, u)
    return total


def fails(problem, values):
    u = places_of(problem, values)
    return any(
        all(share["parameter"] in u for share in limit) and sum_of(limit, u) > 1e-9 for limit in problem["limits"]
    )


def noise_of(problem, seed, number):
    noise = problem["noise"]
    return 0.0 if noise is None else noise["deviation"] * noise["draws"][(131 * seed + number) % len(noise["draws"])]


def run(problem, sampler, seed, trials, parallel):
    """[number of trials, regret] wherever the trial that measured best changes: its value without noise."""
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
    improvements = []
    best = math.inf
    told = 0
    while told < trials:
        asked = []
        for _ in range(min(parallel, trials - told)):
            trial = study.ask()
            asked.append((trial, suggest(problem, trial)))
        for trial, values in asked:
            if fails(problem, values):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                value = value_of(problem, values)
                measured = value + noise_of(problem, seed, told)
                study.tell(trial, measured)
                if measured < best:
                    best = measured
                    improvements.append([told + 1, value])
            told += 1
    return improvements


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", help="what `emotune bench search --generated N --problems FILE` wrote")
    parser.add_argument("results", help="JSON that is read and added to: what it has is not run again")
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    with open(arguments.problems, encoding="utf-8") as file:
        problems = json.load(file)["problems"]
    results = {"peer": f"Optuna {optuna.__version__}", "runs": []}
    if os.path.exists(arguments.results):
        with open(arguments.results, encoding="utf-8") as file:
            results = json.load(file)

    def key(entry):
        return entry["problem"], entry["sampler"], entry["seed"], entry["trials"], entry["parallel"]

    known = {key(entry) for entry in results["runs"]}
    for sampler in arguments.samplers:
        for seed in range(arguments.seeds):
            for problem in problems:
                entry = {
                    "problem": problem["seed"],
                    "sampler": sampler,
                    "seed": seed,
                    "trials": arguments.trials,
                    "parallel": arguments.parallel,
                }
                if key(entry) in known:
                    continue
                started = time.perf_counter()
                improvements = run(problem, sampler, seed, arguments.trials, arguments.parallel)
                seconds = time.perf_counter() - started
                results["runs"].append({**entry, "seconds": round(seconds, 3), "improvements": improvements})
                with open(arguments.results + ".part", "w", encoding="utf-8") as file:
                    json.dump(results, file)
                os.replace(arguments.results + ".part", arguments.results)


if __name__ == "__main__":
    main()
