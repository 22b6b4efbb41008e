# Variances for few clusters in clubSandwich, estimatr and sandwich, on an invented uneven panel.
# Run in this folder: Rscript reference.R   (writes simulated_panel.csv, values.json, session.txt)
suppressMessages({library(clubSandwich); library(estimatr); library(sandwich); library(plm); library(jsonlite)})
set.seed(4711)
prefix <- c("06", "08", "12", "17", "19", "27", "36", "37", "41", "48", "53", "55")
counties <- c(9, 2, 5, 3, 12, 4, 2, 6, 3, 8, 2, 4)        # uneven states
state <- rep(prefix, counties); n <- length(state); years <- 2010:2015
county <- sprintf("%s%03d", state, 2 * sequence(counties) - 1)
cohort <- ifelse(state %in% c("06", "19", "41", "53") & runif(n) < 0.6, sample(c(2012, 2014), n, TRUE), NA)
weight <- round(exp(rnorm(n, 3)), 2); level <- rnorm(n, 30, 6); region <- matrix(rnorm(12 * 6), 12)
d <- do.call(rbind, lapply(seq_len(n), function(i) data.frame(
  county_fips = county[i], state = state[i], year = years, treated = as.integer(!is.na(cohort[i]) & years >= cohort[i]),
  control = round(rnorm(6) + 0.1 * (years - 2010), 4), weight = round(weight[i] * runif(6, 0.8, 1.25), 3),
  outcome = level[i] + region[match(state[i], prefix), ] + as.numeric(arima.sim(list(ar = 0.4), 6)))))
d$outcome <- round(d$outcome - d$treated + 0.3 * d$control, 5)
d <- d[-sample(nrow(d), 25), ]                            # unbalanced
write.csv(d, "simulated_panel.csv", row.names = FALSE)
d <- read.csv("simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
d$state_year <- paste(d$state, d$year)
terms <- c("treated", "control"); values <- list()
club <- function(name, m, cluster, type, scaled = FALSE) {
  v <- vcovCR(m, cluster = cluster, type = type)
  at <- match(terms, rownames(v)); test <- coef_test(m, v, test = "Satterthwaite")
  values[[name]] <<- list(coefficients = unname(coef(m)[terms]), vcov = unname(as.matrix(v)[at, at]),
                          df = test[at, grep("^df", names(test))[1]])
}
plain <- lm(outcome ~ treated + control, d)
weighted <- lm(outcome ~ treated + control, d, weights = weight)
scaled <- lm(I(outcome * sqrt(weight)) ~ 0 + I(sqrt(weight)) + treated + control,
             transform(d, treated = treated * sqrt(weight), control = control * sqrt(weight)))
for (type in c("CR0", "CR1", "CR2", "CR3")) {
  club(paste0("plain_", type), plain, d$state, type)
  club(paste0("weighted_equal_", type), weighted, d$state, type)
  club(paste0("weighted_inverse_", type), scaled, d$state, type)
}
p <- plm(outcome ~ treated + control, d, index = c("county_fips", "year"), effect = "twoways", model = "within")
club("within_by_county_CR2", p, d$county_fips, "CR2")
club("within_by_state_CR2", p, d$state, "CR2")
dummies <- lm(outcome ~ treated + control + county_fips + factor(year), d)
club("dummies_by_state_CR2", dummies, d$state, "CR2")
club("dummies_weighted_equal_by_state_CR2", update(dummies, weights = weight), d$state, "CR2")
club("dummies_weighted_equal_by_county_CR2", update(dummies, weights = weight), d$county_fips, "CR2")
root <- sqrt(d$weight)                                    # weights as inverse variances: scaled dummies
x <- model.matrix(dummies) * root
club("dummies_weighted_inverse_by_state_CR2", lm(I(outcome * root) ~ 0 + ., data.frame(outcome = d$outcome, x, check.names = TRUE)), d$state, "CR2")
by_year <- lm(outcome ~ treated + control + county_fips + state_year, d)
club("state_by_year_by_state_CR2", by_year, d$state, "CR2")
club("state_by_year_by_county_CR2", by_year, d$county_fips, "CR2")
club("state_by_year_weighted_equal_by_county_CR2", update(by_year, weights = weight), d$county_fips, "CR2")
est <- function(name, ...) {
  m <- lm_robust(outcome ~ treated + control, d, clusters = state, se_type = "CR2", ...)
  values[[name]] <<- list(coefficients = unname(coef(m)[terms]), std_error = unname(m$std.error[terms]), df = unname(m$df[terms]))
}
est("estimatr_plain"); est("estimatr_weighted", weights = weight); est("estimatr_within", fixed_effects = ~ county_fips + year)
for (type in c("HC2", "HC3"))
  values[[paste0("sandwich_", type)]] <- list(vcov = unname(vcovCL(plain, cluster = d$state, type = type, cadjust = FALSE)[terms, terms]))
# The jackknife by refitting without each state: every effect estimated anew, centred on the full estimate.
refit <- function(name, m, cluster) {
  change <- sapply(unique(cluster), function(g) {
    part <- d[cluster != g, ]
    coef(lm(formula(m), part, weights = weight))[terms] - coef(m)[terms]
  })
  values[[name]] <<- list(coefficients = unname(coef(m)[terms]), vcov = unname(change %*% t(change)))
}
refit("jackknife_county_year", update(dummies, weights = weight), d$state)
refit("jackknife_state_by_year", update(by_year, weights = weight), d$county_fips)
two <- vcovCL(plain, cluster = d[c("state", "year")], type = "HC0", cadjust = TRUE, multi0 = FALSE)
values$two_way <- list(vcov = unname(two[terms, terms]))
v <- vcovCR(plain, cluster = d$state, type = "CR2")
contrast <- linear_contrast(plain, v, contrasts = matrix(c(0, 1, -2), 1), test = "Satterthwaite")
values$contrast <- list(estimate = contrast$Est, std_error = contrast$SE, df = contrast$df)
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
