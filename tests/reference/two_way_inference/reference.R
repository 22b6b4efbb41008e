# Event times, two ways of clustering, CR2 and CR3 of two-way effects in plm, sandwich, clubSandwich and estimatr,
# on the panel of ../two_way. Run in this folder: Rscript reference.R   (writes values.json, session.txt)
suppressMessages({library(plm); library(sandwich); library(clubSandwich); library(estimatr); library(jsonlite)})
d <- read.csv("../two_way/simulated_panel.csv", colClasses = c(county_fips = "character", state = "character"))
d <- d[order(d$county_fips, d$year), ]
at <- match(d$county_fips, sort(unique(d$county_fips))) - 1
d$class_year <- paste(at %% 3, d$year); d$state_year <- paste(d$state, d$year); d$year_of <- factor(d$year)
d$spell <- paste(d$county_fips, d$year >= 2014 & at %% 3 == 1)
times <- setdiff(-5:4, -1)
names_of <- paste0("t", seq_along(times))
for (i in seq_along(times)) d[[names_of[i]]] <- as.integer(!is.na(d$cohort) & d$year - d$cohort == times[i])
effects <- list(county_year = c("county_fips", "year_of"), state_by_year = c("county_fips", "state_year"),
                urban_class_by_year = c("county_fips", "class_year"), county_definition_year = c("spell", "year_of"))
regress <- function(terms, name, weighted) {
  f <- reformulate(c(terms, effects[[name]]), "outcome")
  if (weighted) lm(f, d, weights = weight) else lm(f, d)
}
values <- list()
for (name in names(effects)) for (weighted in c(FALSE, TRUE)) for (method in c("post", "event_time")) {
  terms <- if (method == "post") "treated" else names_of
  m <- regress(terms, name, weighted)
  pick <- function(v) unname(v[terms, terms, drop = FALSE])
  values[[paste(name, if (weighted) "weighted" else "plain", method, sep = "_")]] <- list(
    coefficients = I(unname(coef(m)[terms])), rank = m$rank, n = nobs(m),
    state_no_factor = pick(vcovCL(m, cluster = d$state, type = "HC0", cadjust = FALSE)),
    state_and_year = pick(vcovCL(m, cluster = d[c("state", "year")], type = "HC0", cadjust = TRUE, multi0 = FALSE)),
    county_and_year = pick(vcovCL(m, cluster = d[c("county_fips", "year")], type = "HC0", cadjust = TRUE, multi0 = FALSE)))
}
# Weights as inverse variances: rows scaled by their root, then taken as homoskedastic.
scaled <- function(terms, name, weighted) {
  m <- regress(terms, name, weighted); root <- if (weighted) sqrt(d$weight / mean(d$weight)) else rep(1, nrow(d))
  x <- data.frame(model.matrix(m) * root, check.names = TRUE)
  lm(outcome ~ 0 + ., cbind(outcome = d$outcome * root, x))
}
few <- function(key, terms, name, weighted, cluster, type) {
  m <- scaled(terms, name, weighted); v <- vcovCR(m, cluster = d[[cluster]], type = type)
  test <- coef_test(m, v, test = "Satterthwaite", coefs = terms)
  at <- match(terms, rownames(v))
  values[[key]] <<- list(vcov = unname(as.matrix(v)[at, at, drop = FALSE]), df = I(test[[grep("^df", names(test))[1]]]),
                         p_value = I(test[[grep("^p", names(test))[1]]]))
}
for (weighted in c(FALSE, TRUE))
  few(paste("few_county_year", if (weighted) "weighted" else "plain", "CR2", sep = "_"), "treated", "county_year", weighted, "state", "CR2")
few("few_state_by_year_plain_CR2", "treated", "state_by_year", FALSE, "state", "CR2")
few("few_event_time_CR2", names_of, "county_year", FALSE, "state", "CR2")
few("few_by_county_CR2", "treated", "county_year", FALSE, "county_fips", "CR2")
# CR3 is the jackknife: refit without each state, every effect estimated anew, centred on the full estimate.
for (weighted in c(FALSE, TRUE)) for (method in c("post", "event_time")) {
  terms <- if (method == "post") "treated" else names_of
  f <- reformulate(c(terms, effects$county_year), "outcome")
  full <- coef(regress(terms, "county_year", weighted))[terms]
  change <- sapply(unique(d$state), function(g) {
    part <- d[d$state != g, ]
    coef(if (weighted) lm(f, part, weights = weight) else lm(f, part))[terms] - full
  })
  change <- matrix(change, nrow = length(terms))
  values[[paste("jackknife", if (weighted) "weighted" else "plain", method, sep = "_")]] <- list(vcov = change %*% t(change))
}
r <- lm_robust(outcome ~ treated, d, fixed_effects = ~ county_fips + year_of, clusters = state, se_type = "CR2")
values$estimatr_CR2 <- list(std_error = unname(r$std.error), df = unname(r$df))
p <- plm(reformulate(names_of, "outcome"), d, index = c("county_fips", "year"), effect = "twoways", model = "within")
values$plm_event_time <- list(coefficients = I(unname(coef(p)[names_of])),
                              by_county_no_factor = unname(vcovHC(p, type = "HC0", cluster = "group")[names_of, names_of]))
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
