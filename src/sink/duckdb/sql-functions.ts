/**
 * The functions that a query may call: enough to look at data. A list of what is allowed, not of what is denied, for
 * DuckDB has functions that read settings, the environment or files, change state, or wait, and each version brings
 * more. Left out on purpose are those that make much of little, which no limit of memory sees (`repeat`, `lpad`,
 * `replace`, `format`, lists of `range()`), and DuckDB's macros: they copy their arguments, so nesting them doubles
 * the statement each time (`nullif`). test/unit/duckdb-sql.test.ts holds the list to that.
 */

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Scalar functions, operators, aggregates and window functions. */
export const FUNCTIONS: ReadonlySet<string> = new Set([
  ...words('+ - * / // % ** ^ || & | ~ << >> @ ~~ !~~ ~~* !~~* ~~~ ^@ -> ->>'),
  ...words(`avg any_value approx_count_distinct approx_quantile arg_max arg_min array_agg bool_and bool_or corr count
    count_if count_star countif covar_pop covar_samp entropy favg first fsum group_concat kurtosis last list
    listagg mad max max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_intercept
    regr_r2 regr_slope sem skewness stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance`),
  ...words(
    `cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number`,
  ),
  ...words(`age date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
    dayofmonth dayofweek dayofyear epoch epoch_ms epoch_ns epoch_us get_current_timestamp hour isodow last_day
    make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns microsecond millisecond minute month
    monthname nanosecond now quarter second strftime strptime time_bucket timezone to_days to_hours to_microseconds
    to_milliseconds to_minutes to_months to_seconds to_timestamp to_weeks to_years today try_strptime week weekday
    year`),
  ...words(`abs acos add asin atan atan2 cbrt ceil ceiling cos degrees divide even exp floor gcd greatest
    hash isfinite isinf isnan lcm least ln log log10 log2 mod multiply pi pow power radians round sign signbit sin
    sqrt subtract tan trunc xor`),
  ...words(`ascii bit_length chr concat concat_ws contains ends_with ilike_escape instr lcase left len length
    like_escape lower ltrim md5 not_ilike_escape not_like_escape ord position prefix regexp_extract
    regexp_full_match regexp_matches reverse right rtrim sha256  starts_with string_split strlen strpos
    substr substring suffix translate trim typeof ucase unicode upper`),
  ...words(`array_contains array_extract array_length array_slice json_array_length
    json_extract json_extract_string json_keys json_type json_valid list_contains list_distinct list_element
    list_extract list_has list_slice list_sort list_value struct_extract unnest version`),
]);

/** Functions in FROM. */
export const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(
  words(`duckdb_columns duckdb_functions duckdb_schemas duckdb_tables duckdb_types duckdb_views generate_series
    json_each json_tree pragma_version range summary unnest`),
);

/** Views of DuckDB's own that show settings, paths and logs. */
export const DENIED_VIEWS: ReadonlySet<string> = new Set(
  words('duckdb_databases duckdb_logs pg_prepared_statements pg_settings pragma_database_list'),
);
