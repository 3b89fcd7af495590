"""The slots that customers fill: what a fact may be called."""

FINDING = ("visit_reference", "visit_postcode")  # what a visit of another conversation is found by
# In the order in which they are read back.
FACTS = (
    *("appliance", "problem", "brand", "since", "urgent", "product", "invoice", "pay_day", "pay_parts", "wish"),
    *("customer_name", "postcode", "phone_number"),
    *FINDING,
    *("which_visit", "visit_day", "visit_time", "call_day", "call_time", "sure"),
)
ABOUT_THE_PERSON = ("customer_name", "postcode", "phone_number")
DAYS = ("since", "visit_day", "call_day", "pay_day")  # ISO 8601, or for `since` the customer's own words
TIMES = ("visit_time", "call_time")  # HH:MM, or a part of the day until a window is chosen
