# Four means by lm with an interaction and the paired t test, errors by sandwich, on an invented panel.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages({library(sandwich); library(jsonlite)})
set.seed(52013)
prefix <- c("06", "08", "12", "17", "19", "27", "36", "41")
n <- 72; years <- 2011:2016
state <- rep(prefix, length.out = n)
county <- sprintf("%s%03d", state, 2 * seq_len(n) - 1)
cohort <- ifelse(runif(n) < 0.4, 2014, NA)
weight <- round(exp(rnorm(n, 10.5, 0.8)))
urban <- sample(c("large_central_metro", "small_metro", "noncore"), n, TRUE)
d <- do.call(rbind, lapply(seq_len(n), function(i) data.frame(
  county_fips = county[i], state = state[i], urban_class = urban[i], year = years, cohort = cohort[i],
  weight = weight[i],
  outcome = round(rnorm(1, 30, 5) + 0.3 * (years - 2011) - 1.5 * (!is.na(cohort[i]) & years >= 2014) +
                    as.numeric(arima.sim(list(ar = 0.4), length(years))), 6))))
d <- d[order(d$county_fips, d$year), ]
write.csv(d, "simulated_panel.csv", row.names = FALSE, na = "")
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
values <- list()
# Two by two: a row a county and half, its mean over the half's years.
d$post <- as.numeric(d$year >= 2014)
halves <- aggregate(outcome ~ county_fips + state + urban_class + post + weight + treated,
                    transform(d, treated = as.numeric(!is.na(cohort))), mean)
bare <- function(m, cluster) sqrt(diag(vcovCL(m, cluster = cluster, type = "HC0", cadjust = FALSE)))
for (weighted in c(FALSE, TRUE)) {
  halves$w <- if (weighted) halves$weight else 1
  m <- lm(outcome ~ treated * post, halves, weights = w)
  means <- sapply(list(c(1, 0), c(1, 1), c(0, 0), c(0, 1)), function(k) {
    here <- halves$treated == k[1] & halves$post == k[2]; weighted.mean(halves$outcome[here], halves$w[here]) })
  # Within classes: each class its own regression, averaged by treated weight.
  by_class <- sapply(split(halves, halves$urban_class), function(h)
    c(coef(lm(outcome ~ treated * post, h, weights = w))[["treated:post"]], sum(h$w[h$treated == 1 & h$post == 0])))
  # Sums of scores by cluster with no factor at all: the factor is stated in the test.
  values[[if (weighted) "two_by_two.weighted" else "two_by_two.unweighted"]] <- list(
    estimate = coef(m)[["treated:post"]], by_state = bare(m, halves$state)[["treated:post"]],
    by_county = bare(m, halves$county_fips)[["treated:post"]], means = means,
    within_urban_class = sum(by_class[1, ] * by_class[2, ]) / sum(by_class[2, ]))
}
# Before and after: two years on each side.
a <- d[!is.na(d$cohort), ]
side <- function(which) tapply(a$outcome[a$year %in% which], a$county_fips[a$year %in% which], mean)
after <- side(2014:2015); before <- side(2012:2013)
test <- t.test(after, before, paired = TRUE)
one <- a[a$year == 2014, ]; one <- one[match(names(after), one$county_fips), ]
m <- lm(I(after - before) ~ 1, weights = one$weight)
values[["before_after"]] <- list(estimate = unname(test$estimate), std_error = test$stderr, p_value = test$p.value,
                                 conf = as.numeric(test$conf.int), fell = sum(after < before), n = length(after),
                                 weighted = unname(coef(m)), weighted_by_state = unname(bare(m, one$state)))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
