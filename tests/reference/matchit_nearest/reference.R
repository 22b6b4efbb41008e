# matchit with method = "nearest" in R's MatchIt package, on invented counties.
# Run in this folder: Rscript reference.R   (writes simulated_counties.csv, values.json, session.txt)
suppressMessages({library(MatchIt); library(jsonlite)})
# The rank-based distance of version 4.5.1 stops: it asks for the determinant of an argument that is NULL where its own
# var_r is meant. Run as meant; nothing else is touched.
meant <- function(f) {
  text <- paste(deparse(f), collapse = "\n")
  body <- sub("(multiplier, multiplier, \"\\*\"\\))", "\\1\n var <- var_r", text)
  stopifnot(body != text)
  out <- eval(parse(text = body), asNamespace("MatchIt"))
  environment(out) <- asNamespace("MatchIt")
  out
}
stops <- try(robust_mahalanobis_dist(am ~ mpg + wt, mtcars), silent = TRUE)
stopifnot(grepl("determinant", stops))
assignInNamespace("transform_covariates", meant(MatchIt:::transform_covariates), "MatchIt")
set.seed(77)
n <- 150
class <- sample(c("a", "b", "c"), n, replace = TRUE)
x1 <- rnorm(n, 0.3 * (class == "a")); x2 <- rexp(n); x3 <- 0.5 * x1 + rnorm(n); x4 <- rbinom(n, 1, 0.3)
treated <- as.integer(runif(n) < plogis(-1.5 + 0.6 * x1 + 0.4 * x3 - 0.2 * x2))
write.csv(data.frame(treated, x1, x2, x3, x4, class), "simulated_counties.csv", row.names = FALSE)
d <- read.csv("simulated_counties.csv")
score <- unname(fitted(glm(treated ~ x1 + x2 + x3 + x4, binomial, d, control = list(epsilon = 1e-14, maxit = 100))))
linear <- qlogis(score)
# With a score, version 4.5.1 measures gaps by the absolute value of whole numbers: all below 1 count as 0, the next
# lower row is always taken and calipers let all through. Scores are handed to it times 1e8, which leaves gaps exact
# to 1e-8. Calipers on covariates cannot be mended so, and with two rows a treated row it mistakes which were taken
# (mended in the version after 4.5.2); in these cases the score goes in as mahvars too, where matching does as it says.
BIG <- 1e8
d$score <- score; d$linear <- linear
covariate_distances <- c("mahalanobis", "robust_mahalanobis", "euclidean", "scaled_euclidean")
cases <- list()
run <- function(distance, replace = FALSE, ratio = 1, order = NULL, exact = FALSE, caliper = NULL, std = TRUE,
                estimand = "ATT", formula = treated ~ x1 + x2 + x3 + x4) {
  # What "random" draws: MatchIt calls sample.int on the treated rows, and nothing else of the generator.
  focal <- which(d$treated == (estimand == "ATT"))
  turn <- NULL
  if (identical(order, "random")) { set.seed(5); turn <- focal[sample.int(length(focal))] - 1; set.seed(5) }
  of_covariates <- distance %in% covariate_distances
  factor <- if (of_covariates || ratio > 1 || !all(names(caliper) == "")) 1 else BIG
  given <- if (of_covariates) distance else get(distance) * factor
  width <- if (is.null(caliper) || std) caliper else caliper * factor
  m <- suppressWarnings(matchit(formula, d, method = "nearest", distance = given, replace = replace, ratio = ratio,
                                m.order = order, exact = if (exact) ~class else NULL, caliper = width,
                                std.caliper = std, estimand = estimand,
                                mahvars = if (of_covariates || factor > 1) NULL else reformulate(distance)))
  mm <- m$match.matrix
  one <- rep(as.integer(rownames(mm)), ncol(mm)); other <- as.integer(as.vector(mm)); kept <- !is.na(other)
  cases[[length(cases) + 1]] <<- Filter(Negate(is.null), list(
    distance = distance, replacement = replace, ratio = ratio, order = order, turn = turn, exact = exact,
    caliper = if (is.null(caliper)) NULL else list(names = I(names(caliper)), widths = I(unname(caliper))), std = std,
    estimand = estimand, one = I(one[kept] - 1), other = I(other[kept] - 1), weights = unname(m$weights)))
}
for (ratio in 1:2) {
  for (exact in c(FALSE, TRUE)) {
    for (estimand in c("ATT", "ATC")) for (score_kind in c("score", "linear"))
      run(score_kind, TRUE, ratio, exact = exact, estimand = estimand)
    for (score_kind in c("score", "linear")) for (order in c("largest", "smallest", "data", "random"))
      if (!(exact && order == "random")) run(score_kind, FALSE, ratio, order, exact)
    for (distance in covariate_distances) {
      run(distance, TRUE, ratio, exact = exact)
      run(distance, FALSE, ratio, "data", exact)
      if (!exact) run(distance, FALSE, ratio, "random")
      run(distance, FALSE, ratio, "data", exact, c(x1 = 0.5, x2 = 1))
      run(distance, TRUE, ratio, exact = exact, caliper = c(x1 = 0.4, x3 = 0.6), std = FALSE)
      run(distance, TRUE, ratio, exact = exact, estimand = "ATC")
    }
    for (replace in c(TRUE, FALSE)) {
      run("linear", replace, ratio, if (replace) NULL else "largest", exact, setNames(0.1, ""))
      run("linear", replace, ratio, if (replace) NULL else "largest", exact, setNames(0.15, ""), std = FALSE)
      run("linear", replace, ratio, if (replace) NULL else "largest", exact, setNames(c(0.3, 0.8), c("", "x2")))
    }
  }
}
writeLines(toJSON(list(score = score, cases = cases), digits = I(17), auto_unbox = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
