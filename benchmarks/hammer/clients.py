"""A crowd of clients, each with a budget; then the log is laid beside what they were answered."""

from benchmarks import service_load


def strike(clients: int = 200, seconds: float = 60.0, budget: int = 40) -> dict:
    """Clients that show tokens of their own query at once, and go on querying when their budget is spent.

    Args:
        clients: at a time.
        seconds: for which they query.
        budget: images for each.

    Returns:
        What was tried, and under `must_be_none` images above a budget, answers without an entry in the log, entries
        without an answer, entries with another number of images, gaps in the numbers of images, and requests that
        were neither answered nor refused for the budget.
    """
    load = service_load.soak(clients, seconds, budget)
    others = sum(number for reason, number in load["not_answered"].items() if reason != "429")
    return {
        "tried": {
            "clients": clients,
            "budget": budget,
            "answered_requests": load["answered_requests"],
            "answered_images": load["answered_images"],
            "refused_for_the_budget": load["not_answered"].get("429", 0),
        },
        "must_be_none": {
            "images above a budget": load["images_above_a_budget"],
            "answers without an entry": load["answered_but_not_logged"],
            "entries without an answer": load["logged_but_not_answered"],
            "entries with another number of images": load["logged_with_another_number_of_images"],
            "gaps in the numbers": int(not load["image_numbers_without_gap"]),
            "requests that failed otherwise": others,
        },
    }
