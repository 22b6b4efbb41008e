# Weights of matched sets in R's MatchIt, on the invented counties of ../matching_nn and sets drawn at random.
# The sets are no match anybody would make: only what weights follow from them is compared.
# Run in this folder: Rscript reference.R   (writes values.json, session.txt)
suppressMessages({library(MatchIt); library(jsonlite)})
d <- read.csv("../matching_nn/simulated_counties.csv", colClasses = c(county_fips = "character", state = "character"))
set.seed(99)
set <- sample(c(NA, 1:25), nrow(d), replace = TRUE)
both <- names(which(rowSums(table(set, d$treated) > 0) == 2))
set[!(set %in% both)] <- NA
label <- ifelse(is.na(set), -1L, match(set, sort(unique(set))) - 1L)
values <- list(sets = label)
for (estimand in c("ATT", "ATC", "ATE")) {
  w <- MatchIt:::weights.subclass(set, d$treated, estimand)
  fit <- lm(outcome ~ treated, d, weights = w)
  values[[tolower(estimand)]] <- list(weights = unname(w), estimate = unname(coef(fit)["treated"]))
}
writeLines(toJSON(values, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "values.json")
writeLines(capture.output(sessionInfo()), "session.txt")
