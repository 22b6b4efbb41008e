# Balance statistics of Matching (MatchBalance) and MatchIt (summary), on invented counties.
# Run in this folder: Rscript reference.R   (writes simulated_counties.csv, values.json, session.txt)
suppressMessages({library(Matching); library(MatchIt); library(jsonlite)})
set.seed(20260117)
n <- 300
x1 <- rnorm(n); x2 <- rexp(n); x3 <- rpois(n, 1.5); x4 <- as.integer(runif(n) < 0.4)
score <- -0.9 + 0.6 * x1 - 0.4 * x2 + 0.2 * x3 + 0.5 * x4
treated <- as.integer(runif(n) < plogis(score))
score <- score + rnorm(n, sd = 0.3)
write.csv(data.frame(treated, score, x1, x2, x3, x4), "simulated_counties.csv", row.names = FALSE)
d <- read.csv("simulated_counties.csv")
f <- treated ~ x1 + x2 + x3 + x4
X <- as.matrix(d[, c("x1", "x2", "x3", "x4")]); Tr <- d$treated
values <- list()
# MatchBalance computes no Kolmogorov-Smirnov statistic of a two-valued column.
numbers <- function(sides) {
  get <- function(g) unname(sapply(sides, function(s) { v <- g(s); if (is.null(v)) NA else as.numeric(v) }))
  list(mean_treated = get(function(s) s$mean.Tr), mean_comparison = get(function(s) s$mean.Co),
       percent = get(function(s) s$sdiff), percent_pooled = get(function(s) s$sdiff.pooled),
       variance_ratio = get(function(s) s$var.ratio), ks = get(function(s) s$ks$ks$statistic),
       ecdf_mean = get(function(s) s$qqsummary$meandiff), ecdf_max = get(function(s) s$qqsummary$maxdiff),
       eqq_mean = get(function(s) s$qqsummary.raw$meandiff), eqq_median = get(function(s) s$qqsummary.raw$mediandiff),
       eqq_max = get(function(s) s$qqsummary.raw$maxdiff))
}
pairs <- function(name, ...) {
  m <- Match(Tr = Tr, ...)
  capture.output(b <- MatchBalance(f, data = d, match.out = m, nboots = 0))
  values$before <<- numbers(b$BeforeMatching)
  values[[name]] <<- c(list(treated = m$index.treated - 1, comparison = m$index.control - 1, weight = m$weights),
                       numbers(b$AfterMatching))
}
pairs("pairs", X = X[, 1:2], replace = FALSE)
pairs("replaced", X = X, M = 1, ties = FALSE)
pairs("ties", X = X[, 3:4], M = 2)
table_of <- function(s) list(rows = rownames(s), mean_treated = unname(s[, 1]), mean_comparison = unname(s[, 2]),
                             difference = unname(s[, 3]), variance_ratio = unname(s[, 4]),
                             mean = unname(s[, 5]), max = unname(s[, 6]))
summaries <- function(name, ...) {
  m <- suppressWarnings(matchit(..., data = d))
  s <- summary(m, interactions = TRUE, pair.dist = FALSE); q <- summary(m, standardize = FALSE, pair.dist = FALSE)
  values[[name]] <<- list(weights = unname(m$weights), all = table_of(s$sum.all), matched = table_of(s$sum.matched),
                          raw = table_of(q$sum.matched), raw_all = table_of(q$sum.all),
                          effective = unname(s$nn["Matched (ESS)", c("Treated", "Control")]))
}
summaries("nearest", f, method = "nearest", distance = d$score)
summaries("coarse", f, method = "cem", cutpoints = "q4")
summaries("coarse_atc", f, method = "cem", cutpoints = "q4", estimand = "ATC")
summaries("coarse_ate", f, method = "cem", cutpoints = "q4", estimand = "ATE")
# Overlap of two kernel densities, each kernel evaluated at every grid point; one bandwidth, R's rule of thumb on
# the smaller arm, for both arms.
w <- values$coarse$weights
small <- if (sum(Tr == 1) <= sum(Tr == 0)) 1 else 0
overlap <- function(x, w) {
  h <- bw.nrd0(x[Tr == small])
  grid <- seq(min(x) - 6 * h, max(x) + 6 * h, length.out = 40001)
  f <- function(arm) { v <- w * (Tr == arm); v <- v / sum(v); use <- v > 0
    Reduce(`+`, Map(function(a, b) b * dnorm(grid, a, h), x[use], v[use])) }
  sum(pmin(f(1), f(0))) * (grid[2] - grid[1])
}
values$overlap <- list(all = c(overlap(d$x1, rep(1, n)), overlap(d$x2, rep(1, n))),
                       matched = c(overlap(d$x1, w), overlap(d$x2, w)),
                       bandwidth = c(bw.nrd0(d$x1[Tr == small]), bw.nrd0(d$x2[Tr == small])))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
