# Effects and errors on matched samples of MatchIt, by weighted least squares and sandwich, on the invented counties of
# ../matching_nn. Run: Rscript reference.R  (writes values.json and session.txt)
suppressMessages({library(MatchIt); library(sandwich); library(jsonlite)})
d <- read.csv("../matching_nn/simulated_counties.csv", colClasses = c(county_fips = "character", state = "character"))
d <- d[order(d$county_fips), ]
d$home <- substr(d$county_fips, 1, 2)
d$positive <- as.integer(d$x1 >= 0)
values <- list()
keep <- function(name, m, pairs = FALSE) {
  md <- match.data(m, drop.unmatched = TRUE)
  fit <- lm(outcome ~ treated, data = md, weights = weights)
  # HC1: G / (G - 1) times (N - 1) / (N - k).
  by_state <- sqrt(vcovCL(fit, cluster = ~home, type = "HC1")["treated", "treated"])
  one <- list(estimate = unname(coef(fit)["treated"]), by_state = by_state, n = nrow(md),
              n_treated = sum(md$treated), weights = setNames(as.list(round(m$weights, 12)), d$county_fips))
  if (pairs) one$sets <- setNames(as.list(as.integer(md$subclass)), md$county_fips)
  if (pairs) one$by_set <- sqrt(vcovCL(fit, cluster = ~subclass, type = "HC1")["treated", "treated"])
  values[[name]] <<- one
}
f <- treated ~ x1 + x2 + x3 + x4
row.names(d) <- d$county_fips
keep("exact", matchit(treated ~ positive + class, data = d, method = "exact"))
keep("exact_ate", matchit(treated ~ positive + class, data = d, method = "exact", estimand = "ATE"))
q <- quantile(d$x1, c(1/3, 2/3), names = FALSE); r <- quantile(d$x2, c(1/3, 2/3), names = FALSE)
keep("cem", matchit(treated ~ x1 + x2 + class, data = d, method = "cem", cutpoints = list(x1 = q, x2 = r),
                    grouping = list(), k2k = FALSE))
values$cem$cut_points <- list(x1 = q, x2 = r)
keep("subclass", matchit(f, data = d, method = "subclass", link = "linear.logit", subclass = 5, min.n = 1))
keep("subclass_ate", matchit(f, data = d, method = "subclass", link = "linear.logit", subclass = 5, min.n = 1, estimand = "ATE"))
# MatchIt matches without replacement on its own Mahalanobis distance (covariance within arms); the order of data.
keep("nearest", matchit(f, data = d, method = "nearest", distance = "mahalanobis", m.order = "data"), TRUE)
# The genetic search of GenMatch behind MatchIt: what balance it reaches with population 100.
set.seed(20260101)
g <- matchit(f, data = d, method = "genetic", distance = "mahalanobis", mahvars = NULL, pop.size = 100, replace = TRUE,
             estimand = "ATT", print = 0, unif.seed = 1, int.seed = 1)
w <- g$weights
s <- summary(g, standardize = TRUE)$sum.matched
values$genetic <- list(largest_difference = max(abs(s[c("x1", "x2", "x3", "x4"), "Std. Mean Diff."])),
                       differences = as.list(s[c("x1", "x2", "x3", "x4"), "Std. Mean Diff."]))
writeLines(toJSON(values, auto_unbox = TRUE, digits = 14, pretty = TRUE), "values.json")
writeLines(c(R.version.string, paste("MatchIt", packageVersion("MatchIt")), paste("Matching", packageVersion("Matching")),
             paste("rgenoud", packageVersion("rgenoud")), paste("sandwich", packageVersion("sandwich"))), "session.txt")
