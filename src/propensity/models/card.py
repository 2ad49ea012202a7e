CARD = "model_card.html"


def render_card(*a):
    return "x"
