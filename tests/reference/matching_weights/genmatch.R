# What GenMatch of R's Matching reaches with population 100 on the simulated national cross-sections of
# tests/benchmarks/worlds.py. First, at the root of the repository, for a folder outside it:
#   python -m tests.benchmarks.worlds FOLDER
# then here (five minutes): Rscript genmatch.R FOLDER   (writes genmatch.json, genmatch_session.txt)
suppressMessages({library(Matching); library(jsonlite)})
folder <- commandArgs(trailingOnly = TRUE)[1]
values <- list()
for (name in c("even", "leaning", "skewed", "apart")) {
  d <- read.csv(file.path(folder, paste0(name, ".csv")))
  X <- as.matrix(d[, -1])
  seconds <- system.time(
    g <- GenMatch(d$treated, X, BalanceMatrix = X, estimand = "ATT", pop.size = 100,
                  unif.seed = 3, int.seed = 5, print.level = 0))[["elapsed"]]
  m <- Match(Tr = d$treated, X = X, estimand = "ATT", Weight.matrix = g)
  gap <- apply(X, 2, function(x) sum(m$weights * (x[m$index.treated] - x[m$index.control])) / sum(m$weights))
  values[[name]] <- list(weights = g$par, objective = g$value, pairs = length(m$weights),
    standardized_mean_difference = unname(gap / apply(X[d$treated == 1, ], 2, sd)), seconds = seconds)
  cat(name, seconds, head(g$value, 4), "\n")
  writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE), "genmatch.json")
}
writeLines(capture.output(sessionInfo()), "genmatch_session.txt")
